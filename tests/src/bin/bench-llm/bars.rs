//! What the figures should be.

use mesh_simulations::bench::Bar;

/// What a figure should be, and its unit.
pub(crate) fn bar_of(id: &str) -> (Bar, &'static str) {
    match id {
        "plan_p50_ms" => (Bar::AtMost(5.0), "ms"),
        "plans_per_s" => (Bar::AtLeast(400.0), "1/s"),
        "trip_rss_mb" => (Bar::AtMost(200.0), "MB"),
        "loop_vs_http_ratio" => (Bar::AtMost(0.6), "x"),
        "provider_failover_max_ms" => (Bar::AtMost(300.0), "ms"),
        "provider_failover_failed" => (Bar::AtMost(0.0), "plans"),
        "first_token_ms" => (Bar::AtMost(2.0), "ms"),
        "demo_s" => (Bar::AtMost(45.0), "s"),
        _ => (Bar::AtMost(f64::INFINITY), ""),
    }
}
