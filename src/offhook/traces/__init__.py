"""Calls as OpenTelemetry traces, made of finished records and sent beside the calls (extra ``[otel]``)."""
