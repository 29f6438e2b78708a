//! The page of keys.

pub(crate) const LINES: [&str; 20] = [
    "1 to 5, Tab       screens: workers, operations, in flight, tasks, connections",
    "Up, Down          move the selection; also PgUp, PgDn, Home and End",
    "Enter             on tasks: all data of the task; Esc goes back",
    "s                 sorts by the next column",
    "S                 reverses the order",
    "/                 filters by text; Enter keeps the filter, Esc clears it",
    "w, W              the next or previous worker alone, then all",
    "h                 the program starts or stops to record latencies and poll times",
    "Space             stops the view, or continues; a recording goes on",
    "r                 starts or stops to record to a file in the current folder",
    "?                 shows or hides this page",
    "q                 quits",
    "",
    "Replay of a recorded file:",
    "Left, Right       the previous or next step",
    "Space             plays, or stops",
    "",
    "Rates and percentiles are those of the interval between the last two answers. A",
    "percentile is the upper bound of its bucket. `-` is an unknown value.",
    "`last turn` is the time since the last turn of the worker's event loop.",
];
