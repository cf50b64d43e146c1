//! The trace that a caller asks this invocation to continue. Callers aren't trusted: if an id is
//! invalid, it is ignored, and the request starts a new trace.

/// The caller's trace and span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parent {
    /// The trace's id, 32 hexadecimal digits.
    pub(super) trace: Option<String>,
    /// The id of the caller's span, 16 hexadecimal digits.
    pub(super) span: Option<String>,
    /// True if the caller doesn't record the trace.
    pub(super) is_unrecorded: bool,
}

/// The maximum length of Lambda's header, in bytes. Lambda sends three short fields and may add a
/// few others.
const LAMBDA_LENGTH: usize = 512;

impl Parent {
    /// Reads the caller's trace from the request's `traceparent`
    /// ([W3C](https://www.w3.org/TR/trace-context/#traceparent-header)). Without a valid
    /// `traceparent`, Lambda's trace is used.
    pub fn from_headers(traceparent: Option<&[u8]>, of_lambda: Option<&str>) -> Self {
        let valid = traceparent.and_then(Self::of_traceparent);
        valid.unwrap_or_else(|| Self::of_lambda(of_lambda))
    }

    fn of_traceparent(header: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(header).ok()?;
        let (known, more) = text.split_at_checked(55)?;
        let mut fields = known.split('-');
        let mut field = |length| fields.next().filter(|field| is_hex(field, length));
        let (version, trace, span, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
        // Later versions may append fields.
        let may_have_more = version != "00" && more.starts_with('-');
        if version == "ff" || !(more.is_empty() || may_have_more) || is_zero(trace) || is_zero(span)
        {
            return None;
        }
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self {
            trace: Some(trace.to_owned()),
            span: Some(span.to_owned()),
            is_unrecorded: flags & 1 == 0,
        })
    }

    /// Reads the trace from the header that Lambda sends with an invocation
    /// ([format](https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader)).
    /// The span in Lambda's header exists only if X-Ray records the trace. If X-Ray is off, the
    /// header always says that the trace isn't sampled. Therefore Lambda's header doesn't determine
    /// whether Farebox records the trace.
    pub fn of_lambda(header: Option<&str>) -> Self {
        let Some(header) = header.filter(|header| header.len() <= LAMBDA_LENGTH) else {
            return Self::default();
        };
        let field = |name: &str| {
            let mut fields = header.split(';').map(str::trim);
            fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
        };
        let id = |root: &str| {
            let (time, random) = root.strip_prefix("1-")?.split_once('-')?;
            let id = (is_hex(time, 8) && is_hex(random, 24)).then(|| format!("{time}{random}"))?;
            (!is_zero(&id)).then_some(id)
        };
        let Some(trace) = field("Root").and_then(id) else { return Self::default() };
        let is_span = |span: &&str| is_hex(span, 16) && !is_zero(span);
        let span = field("Parent").filter(is_span).filter(|_| field("Sampled") == Some("1"));
        Self { trace: Some(trace), span: span.map(str::to_owned), is_unrecorded: false }
    }
}

/// Returns true if the string consists of `length` lower-case hexadecimal digits.
fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_zero(id: &str) -> bool {
    id.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn parsed(traceparent: impl AsRef<[u8]>) -> Parent {
        Parent::from_headers(Some(traceparent.as_ref()), None)
    }

    #[test]
    fn traceparents_are_continued() {
        for (flags, is_unrecorded) in [("01", false), ("00", true), ("03", false), ("fe", true)] {
            let header = format!("00-{TRACE}-{SPAN}-{flags}");
            let continued =
                Parent { trace: Some(TRACE.into()), span: Some(SPAN.into()), is_unrecorded };
            assert_eq!(parsed(header), continued);
            let later = format!("01-{TRACE}-{SPAN}-{flags}-what-comes-next");
            assert_eq!(parsed(later), continued);
        }
    }

    #[test]
    fn invalid_traceparents_are_ignored() {
        let valid = format!("00-{TRACE}-{SPAN}-01");
        let zeros = "0".repeat(32);
        for header in [
            String::new(),
            "00".into(),
            valid.to_uppercase(),
            format!(" {valid}"),
            format!("{valid} "),
            format!("{valid}-more"),
            format!("{valid}0"),
            valid.replace("00-4", "ff-4"),
            valid.replace("00-4", "0-4"),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{TRACE}-{SPAN}-0x"),
            format!("00-{}\"-{SPAN}-01", &TRACE[1..]),
            format!("00-{}\u{e9}-{SPAN}-01", &TRACE[2..]),
            format!("00-{TRACE}_{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}\n01"),
            format!("{valid}, {valid}"),
            "0".repeat(100_000),
        ] {
            assert_eq!(parsed(&header), Parent::default(), "{header}");
        }
        assert_eq!(parsed([0xff_u8; 55]), Parent::default());
    }

    #[test]
    fn lambda_traces_are_continued_if_x_ray_samples_them() {
        let root = "Root=1-5759e988-bd862e3fe1be46a994272793";
        let trace = Some("5759e988bd862e3fe1be46a994272793".to_owned());
        let parsed = |header: &str| Parent::from_headers(None, Some(header));
        let sampled = parsed(&format!("{root};Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:a:0"));
        let span = Some("53995c3f42cd8ad8".to_owned());
        assert_eq!(sampled, Parent { trace: trace.clone(), span, is_unrecorded: false });
        for header in [
            root.to_owned(),
            format!("Self=1-x; {root}"),
            format!("{root};Parent=53995c3f42cd8ad8;Sampled=0"),
            format!("{root};Parent=53995c3f42cd8ad8"),
            format!("{root};Parent=?;Sampled=1"),
        ] {
            let own = Parent { trace: trace.clone(), ..Parent::default() };
            assert_eq!(parsed(&header), own, "{header}");
        }
        for header in [
            "",
            "Root=",
            "Root=1-5759e988",
            "Root=2-5759e988-bd862e3fe1be46a994272793",
            "Root=1-00000000-000000000000000000000000",
            "Parent=53995c3f42cd8ad8;Sampled=1",
            &format!("{root};{}", "x".repeat(600)),
        ] {
            assert_eq!(parsed(header), Parent::default(), "{header}");
        }
    }
}
