//! CloudWatch's [metric
//! math](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html), as
//! far as the alarms use it.

use std::collections::BTreeMap;

use serde_norway::Value as Yaml;

/// Returns the value that an alarm compares, as its `Metrics` list defines it. `sample` returns the
/// value of a metric in that list. `None` means that nothing was recorded.
pub fn value(metrics: &[Yaml], sample: impl Fn(&Yaml) -> Option<f64>) -> Option<f64> {
    let id = |metric: &Yaml| metric["Id"].as_str().unwrap().to_owned();
    let mut values = BTreeMap::new();
    // An expression may use only values that come later in the list, so evaluate the list from its
    // end.
    for metric in metrics.iter().rev() {
        let value = match metric["Expression"].as_str() {
            Some(text) => Expression { text: text.as_bytes(), values: &values }.value(),
            None => sample(metric),
        };
        values.insert(id(metric), value);
    }
    let shown = metrics.iter().find(|metric| metric["ReturnData"] != false).unwrap();
    values[&id(shown)]
}

/// An expression, and the values of the metrics and expressions that it may refer to.
struct Expression<'e> {
    text: &'e [u8],
    values: &'e BTreeMap<String, Option<f64>>,
}

impl Expression<'_> {
    fn value(mut self) -> Option<f64> {
        let value = self.compared();
        assert!(self.text.is_empty(), "{}", String::from_utf8_lossy(self.text));
        value
    }

    fn compared(&mut self) -> Option<f64> {
        let left = self.product();
        if !self.eats(">=") {
            return left;
        }
        let right = self.product();
        Some(f64::from(u8::from(left? >= right?)))
    }

    fn product(&mut self) -> Option<f64> {
        let mut value = self.operand();
        loop {
            if self.eats("*") {
                value = value.zip(self.operand()).map(|(one, other)| one * other);
            } else if self.eats("/") {
                let divided = value.zip(self.operand());
                value = divided.filter(|(_, by)| *by != 0.0).map(|(number, by)| number / by);
            } else {
                return value;
            }
        }
    }

    fn operand(&mut self) -> Option<f64> {
        let word = self.word();
        if let Ok(number) = word.parse::<f64>() {
            return Some(number);
        }
        if !self.eats("(") {
            return *self.values.get(&word).unwrap_or_else(|| panic!("no metric {word}"));
        }
        let value = match word.as_str() {
            "SUM" => self.list().into_iter().reduce(|sum, one| sum + one),
            "MAX" => self.list().into_iter().reduce(f64::max),
            "MIN" => self.list().into_iter().reduce(f64::min),
            "FILL" => {
                let value = self.compared();
                self.must(",");
                value.or(self.compared())
            }
            "IF" => {
                let condition = self.compared();
                self.must(",");
                let yes = self.compared();
                self.must(",");
                let no = self.compared();
                condition.and_then(|condition| if condition != 0.0 { yes } else { no })
            }
            other => panic!("{other}"),
        };
        self.must(")");
        value
    }

    /// The values of a list that have been recorded.
    fn list(&mut self) -> Vec<f64> {
        let mut values = Vec::new();
        self.must("[");
        loop {
            values.extend(self.compared());
            if !self.eats(",") {
                break;
            }
        }
        self.must("]");
        values
    }

    fn word(&mut self) -> String {
        self.text = self.text.trim_ascii_start();
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'.';
        let end = self.text.iter().position(|byte| !is_part(byte)).unwrap_or(self.text.len());
        let (word, rest) = self.text.split_at(end);
        self.text = rest;
        String::from_utf8(word.to_vec()).unwrap()
    }

    fn eats(&mut self, symbol: &str) -> bool {
        self.text = self.text.trim_ascii_start();
        let rest = self.text.strip_prefix(symbol.as_bytes());
        self.text = rest.unwrap_or(self.text);
        rest.is_some()
    }

    fn must(&mut self, symbol: &str) {
        assert!(self.eats(symbol), "no {symbol} at {}", String::from_utf8_lossy(self.text));
    }
}
