//! What the figures should be.

use mesh_simulations::bench::Bar;

/// What a figure should be, and its unit.
pub(crate) fn bar_of(id: &str) -> (Bar, &'static str) {
    match id {
        "quiet_s@500" => (Bar::AtMost(10.0), "s"),
        "quiet_s@2000" => (Bar::AtMost(20.0), "s"),
        "posts_per_agent@2000" => (Bar::AtMost(3.0), "posts"),
        "post_p99_ms@2000" => (Bar::AtMost(20.0), "ms"),
        "head_p99_ms@2000" => (Bar::AtMost(5.0), "ms"),
        "cpu_pct@2000" => (Bar::AtMost(50.0), "%"),
        "rss_mb@2000" => (Bar::AtMost(300.0), "MB"),
        "agents_get_ms@2000" => (Bar::AtMost(50.0), "ms"),
        "stock_kill_failed" => (Bar::AtMost(0.0), "calls"),
        "stock_kill_ms" => (Bar::AtMost(250.0), "ms"),
        "stock_rewire_s" => (Bar::AtMost(6.0), "s"),
        _ => (Bar::AtMost(f64::INFINITY), ""),
    }
}
