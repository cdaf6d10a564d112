//! Names and numbers of signals (signal(7), x86_64).

/// The first and the last real-time signal as programs see them: the C library keeps 32 and 33 for itself.
const REAL_TIME: [i32; 2] = [34, 64];

/// Every named signal, without `SIG`.
const NAMES: [(&str, i32); 31] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The number of `TERM`, `SIGTERM`, `sigterm`, `15`, `RTMIN+1`, `RTMAX-2`.
///
/// # Errors
/// One sentence that says what to write.
pub fn parse(text: &str) -> Result<i32, String> {
    let upper = text.trim().to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let found = match name.parse::<i32>() {
        Ok(number) => Some(number),
        Err(_) => NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, number)| *number)
            .or_else(|| real_time(name)),
    };
    found.filter(|number| (1..=REAL_TIME[1]).contains(number)).ok_or_else(|| {
        format!("{text:?} is no signal: give a name such as TERM, USR1 or RTMIN+1, or a number from 1 to 64 (signal(7))")
    })
}

fn real_time(name: &str) -> Option<i32> {
    let [first, last] = REAL_TIME;
    let step = |rest: &str, sign: char| match rest {
        "" => Some(0),
        rest => rest
            .strip_prefix(sign)
            .filter(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))?
            .parse()
            .ok(),
    };
    let number: i32 = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => first.checked_add(step(rest, '+')?)?,
        (_, Some(rest)) => last.checked_sub(step(rest, '-')?)?,
        _ => return None,
    };
    (first..=last).contains(&number).then_some(number)
}

/// A signal's number and, for those that have one, its name: `11 (SEGV)`.
pub fn show(number: i32) -> String {
    match NAMES.iter().find(|(_, known)| *known == number) {
        Some((name, _)) => format!("{number} ({name})"),
        None => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_by_name_or_number() {
        let table = [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigkill", 9),
            ("9", 9),
            (" usr1 ", 10),
            ("RTMIN", 34),
            ("SIGRTMIN+2", 36),
            ("RTMAX-1", 63),
            ("64", 64),
        ];
        for (text, number) in table {
            assert_eq!(parse(text), Ok(number), "{text}");
        }
        for text in ["", "0", "65", "-9", "TERMINATE", "RTMIN+31", "RTMIN-1", "RTMAX+1", "RTMIN+-1", "SIG"] {
            assert!(parse(text).unwrap_err().contains("signal(7)"), "{text}");
        }
    }

    #[test]
    fn every_name_is_read_back() {
        for (name, number) in NAMES {
            assert_eq!(parse(name), Ok(number));
            assert_eq!(show(number), format!("{number} ({name})"));
        }
        assert_eq!(show(40), "40");
    }
}
