//! The types of the service, generated from `proto/greeter.proto`.

#![expect(missing_docs, reason = "generated")]

tonic::include_proto!("greeter");
