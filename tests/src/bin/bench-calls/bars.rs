//! What the figures should be.

use mesh_simulations::bench::Bar;

/// What a figure should be, and its unit.
pub(crate) fn bar_of(id: &str) -> (Bar, &'static str) {
    match id {
        "call_vs_quic_p50" => (Bar::AtMost(1.3), "x"),
        "call_vs_rmcp_p50" => (Bar::AtMost(0.4), "x"),
        "call_vs_rmcp_rate64" => (Bar::AtLeast(2.5), "x"),
        "call_vs_mcpmesh_p50" => (Bar::AtLeast(200.0), "x"),
        "call_vs_mcpmesh_patched_p50" => (Bar::AtLeast(12.0), "x"),
        "mcp_http_vs_rmcp_rate64" => (Bar::AtLeast(0.9), "x"),
        "spread_pct" => (Bar::AtMost(10.0), "%"),
        "kill_failed" | "stop_failed" | "roll_failed" => (Bar::AtMost(0.0), "calls"),
        "kill_max_ms" => (Bar::AtMost(250.0), "ms"),
        "appear_p99_ms" => (Bar::AtMost(300.0), "ms"),
        "start_ms" => (Bar::AtMost(150.0), "ms"),
        "idle_rss_mb" => (Bar::AtMost(15.0), "MB"),
        "idle_cpu_pct" => (Bar::AtMost(0.3), "%"),
        "hello_binary_mb" => (Bar::AtMost(12.0), "MB"),
        "list_200_ms" => (Bar::AtMost(50.0), "ms"),
        "flash_200_s" => (Bar::AtMost(10.0), "s"),
        _ => (Bar::AtMost(f64::INFINITY), ""),
    }
}
