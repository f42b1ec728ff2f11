//! What both servers stand on: databases, the ephemeral store, the HTTP listener, configuration and telemetry.
