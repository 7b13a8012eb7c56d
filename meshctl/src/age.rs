//! How long ago something was, in few letters: `12s`, `5m`, `1h5m`, `2d3h`.

/// `milliseconds` in the two largest units that matter.
pub(crate) fn short(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let two = |large: u64, unit: char, small: u64, smaller: char| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{smaller}"),
    };
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => two(seconds / 3600, 'h', seconds % 3600 / 60, 'm'),
        _ => two(seconds / 86_400, 'd', seconds % 86_400 / 3600, 'h'),
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn ages_are_short() {
        let seconds = [0, 59, 60, 3599, 3600, 3900, 86_400, 2 * 86_400 + 3 * 3600 + 59];
        let shown = seconds.map(|seconds| short(seconds * 1000));
        assert_eq!(shown, ["0s", "59s", "1m", "59m", "1h", "1h5m", "1d", "2d3h"]);
    }
}
