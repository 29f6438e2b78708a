//! The load: `wrk` or `h2load` against each server in turn, in rounds.

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    net::TcpStream,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::{Pid, SysconfVar, sysconf},
};

use crate::{
    row::{Load, ROWS, Row, Service},
    servers::{file, proxy::UPSTREAM},
    websocket,
};

/// The servers are on one CPU, `wrk` on another.
const SERVER_CPU: usize = 0;
const CLIENT_CPU: usize = 1;

pub(crate) struct Plan {
    pub(crate) rounds: u32,
    pub(crate) seconds: u32,
    pub(crate) connections: u32,
    /// The names of rows; all if it is empty.
    pub(crate) rows: Vec<String>,
    /// The servers that are measured, beside the base; all if it is empty.
    pub(crate) servers: Vec<String>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            rounds: 7,
            seconds: 3,
            connections: 64,
            rows: Vec::new(),
            servers: Vec::new(),
        }
    }
}

impl Plan {
    fn rows(&self) -> impl Iterator<Item = &'static Row> {
        let is_chosen =
            |row: &&Row| self.rows.is_empty() || self.rows.iter().any(|name| name == row.name);
        ROWS.iter().filter(is_chosen)
    }

    /// The servers of a row, the base of the ratios first.
    fn servers_of(&self, row: &Row) -> Vec<&'static str> {
        let mut servers = row.service.servers().to_vec();
        let base = servers[0];
        if !self.servers.is_empty() {
            servers
                .retain(|&server| server == base || self.servers.iter().any(|name| name == server));
        }
        servers
    }
}

/// The result of one run.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) requests_per_second: f64,
    /// CPU time of the server for each request.
    pub(crate) micros: f64,
}

pub(crate) fn run(plan: &Plan) -> Result<(), Box<dyn Error>> {
    println!("row,server,requests/s,CPU us/request,ratio,lowest,highest,CPU ratio,lowest,highest");
    for row in plan.rows() {
        let servers = plan.servers_of(row);
        let mut samples: BTreeMap<&str, Vec<Sample>> = BTreeMap::new();
        for round in 0..plan.rounds {
            for (place, &server) in servers.iter().enumerate() {
                let port = 20_000 + (round as u16 % 100) * 16 + place as u16;
                let sample = measure(plan, row, server, port)?;
                samples.entry(server).or_default().push(sample);
            }
        }
        let base = &samples[servers[0]];
        for server in servers {
            report(row.name, server, &samples[server], base);
        }
    }
    Ok(())
}

/// Prints the medians of a server, and the medians and extremes of its ratios to the base.
fn report(row: &str, server: &str, samples: &[Sample], base: &[Sample]) {
    let Sample {
        requests_per_second,
        micros,
    } = median(samples);
    print!("{row},{server},{requests_per_second:.0},{micros:.2}");
    // Within a round, because other work on the machine changes from round to round.
    let ratios = |value: fn(&Sample) -> f64| {
        let ratios = samples.iter().zip(base);
        let mut ratios: Vec<_> = ratios
            .map(|(sample, base)| value(sample) / value(base))
            .collect();
        ratios.sort_by(f64::total_cmp);
        (
            ratios[ratios.len() / 2],
            ratios[0],
            ratios[ratios.len() - 1],
        )
    };
    for (median, lowest, highest) in [
        ratios(|sample| sample.requests_per_second),
        ratios(|sample| sample.micros),
    ] {
        print!(",{median:.2},{lowest:.2},{highest:.2}");
    }
    println!();
}

fn median(samples: &[Sample]) -> Sample {
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let rates = samples.iter().map(|sample| sample.requests_per_second);
    let times = samples.iter().map(|sample| sample.micros);
    Sample {
        requests_per_second: middle(rates.collect()),
        micros: middle(times.collect()),
    }
}

/// A server process. Its drop ends it.
pub(crate) struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    pub(crate) fn start(row: &Row, server: &str, port: u16) -> Result<Self, Box<dyn Error>> {
        let mut command = if server == "nginx" {
            let is_proxy = row.service == Service::Proxy;
            nginx(port, if is_proxy { NGINX_PROXY } else { NGINX_FILES })?
        } else {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["serve", row.service.name(), server, &port.to_string()]);
            command
        };
        let process = Self(on_cpu(&mut command, SERVER_CPU).spawn()?);
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(process);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(format!("the server {server} does not listen").into())
    }

    /// The CPU time that it has used, in microseconds.
    pub(crate) fn cpu_time(&self) -> Result<f64, Box<dyn Error>> {
        let stat = fs::read_to_string(format!("/proc/{}/schedstat", self.0.id()))?;
        let nanos = stat.split(' ').next().ok_or("no schedstat")?;
        let threads = fs::read_dir(format!("/proc/{}/task", self.0.id()))?.count();
        if threads == 1 {
            return Ok(nanos.parse::<f64>()? / 1000.0);
        }
        // Several threads: in ticks, of the whole process.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or("").split(' ').collect();
        let ticks = fields[12].parse::<f64>()? + fields[13].parse::<f64>()?;
        let per_second = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100) as f64;
        Ok(ticks / per_second * 1e6)
    }
}

/// Moves this thread to the CPU of the clients.
pub(crate) fn to_client_cpu() -> Result<(), Box<dyn Error>> {
    let mut cpus = CpuSet::new();
    cpus.set(CLIENT_CPU)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cpus)?)
}

fn on_cpu(command: &mut Command, cpu: usize) -> &mut Command {
    // SAFETY: the closure makes one system call, without an allocation.
    unsafe {
        command.pre_exec(move || {
            let mut cpus = CpuSet::new();
            cpus.set(cpu)?;
            Ok(sched_setaffinity(Pid::from_raw(0), &cpus)?)
        })
    }
}

/// Files by `sendfile`.
const NGINX_FILES: &str = "root ROOT;";

/// A proxy with connections that stay open.
const NGINX_PROXY: &str = "location / { proxy_pass http://upstream; proxy_http_version 1.1; \
    proxy_set_header connection ''; }";

/// nginx as one process, without a log.
fn nginx(port: u16, location: &str) -> Result<Command, Box<dyn Error>> {
    let folder = file::folder();
    fs::create_dir_all(&folder)?;
    let configuration = folder.join(format!("nginx-{port}.conf"));
    let root = folder.display();
    let location = location.replace("ROOT", &root.to_string());
    fs::write(
        &configuration,
        format!(
            "daemon off; master_process off; pid {root}/nginx-{port}.pid; error_log stderr crit;
            events {{ worker_connections 1024; }}
            http {{
                access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
                upstream upstream {{
                    server 127.0.0.1:{UPSTREAM}; keepalive 64; keepalive_requests 1000000000;
                }}
                server {{ listen 127.0.0.1:{port}; {location} }}
            }}"
        ),
    )?;
    let mut nginx = Command::new("nginx");
    nginx.arg("-c").arg(&configuration);
    Ok(nginx)
}

fn measure(plan: &Plan, row: &Row, server: &str, port: u16) -> Result<Sample, Box<dyn Error>> {
    if let Load::Messages { connections, len } = row.load {
        let connections = connections.unwrap_or(plan.connections);
        return websocket::measure(plan, row, server, port, connections, len);
    }
    let mut upstream = None;
    if row.service == Service::Proxy {
        let mut nginx = nginx(UPSTREAM, NGINX_FILES)?;
        upstream = Some(Server(on_cpu(&mut nginx, CLIENT_CPU).spawn()?));
    }
    if matches!(row.service, Service::File | Service::Proxy) {
        fs::create_dir_all(file::folder())?;
        fs::write(file::folder().join("file.bin"), [b'x'; 64 * 1024])?;
    }
    let process = Server::start(row, server, port)?;
    let url = format!("http://127.0.0.1:{port}{}", row.path);
    let load = |seconds: u32| {
        let (seconds, connections) = (seconds.to_string(), plan.connections.to_string());
        let mut load = match row.load {
            Load::Wrk | Load::WrkWithoutKeepAlive => Command::new("wrk"),
            Load::H2load => Command::new("h2load"),
            Load::Messages { .. } => unreachable!("measured above"),
        };
        match row.load {
            Load::Wrk => load.args(["-t1", "-c", &connections, "-d", &seconds]),
            Load::WrkWithoutKeepAlive => load.args([
                "-t1",
                "-c",
                &connections,
                "-d",
                &seconds,
                "-H",
                "connection: close",
            ]),
            Load::H2load => load.args(["-c16", "-m16", "-D", &seconds]),
            Load::Messages { .. } => unreachable!("measured above"),
        };
        on_cpu(load.arg(&url).stderr(Stdio::inherit()), CLIENT_CPU).output()
    };
    load(1)?;
    let before = process.cpu_time()?;
    let output = load(plan.seconds)?;
    let used = process.cpu_time()? - before;
    let report = String::from_utf8(output.stdout)?;
    let rates = match row.load {
        Load::Wrk | Load::WrkWithoutKeepAlive => wrk_rates(&report),
        Load::H2load => h2load_rates(&report),
        Load::Messages { .. } => unreachable!("measured above"),
    };
    let (requests_per_second, requests) =
        rates.ok_or_else(|| format!("{server} {}: {report}", row.name))?;
    drop(upstream);
    Ok(Sample {
        requests_per_second,
        micros: used / requests,
    })
}

/// Requests per second, and their number. `None` if some have failed.
fn wrk_rates(report: &str) -> Option<(f64, f64)> {
    // With `connection: close`, wrk counts the ends of connections as read errors.
    if report.contains("Non-2xx") {
        return None;
    }
    let rate = report
        .lines()
        .find_map(|line| line.trim().strip_prefix("Requests/sec:"))?;
    let requests = report.lines().find(|line| line.contains(" requests in "))?;
    Some((
        rate.trim().parse().ok()?,
        requests.trim().split(' ').next()?.parse().ok()?,
    ))
}

/// As [`wrk_rates`].
fn h2load_rates(report: &str) -> Option<(f64, f64)> {
    let finished = report
        .lines()
        .find(|line| line.starts_with("finished in "))?;
    let rate = finished
        .split(", ")
        .find_map(|part| part.strip_suffix(" req/s"))?;
    let requests = report
        .lines()
        .find_map(|line| line.strip_prefix("requests: "))?;
    let number = |what: &str| -> Option<f64> {
        requests
            .split(", ")
            .find_map(|part| part.strip_suffix(what))?
            .trim()
            .parse()
            .ok()
    };
    if number(" failed")? + number(" errored")? > 0.0 {
        return None;
    }
    Some((rate.parse().ok()?, number(" succeeded")?))
}
