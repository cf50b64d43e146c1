//! AWS's prices in us-east-1, in one table. The same table is in docs/operate/cost.md.
//!
//! The prices are those of the first price tier, not including free tiers and discounts. AWS's
//! pages insert the prices with a script, so most prices were confirmed with other sources that
//! quote the pages or AWS's price lists. The last column says when and how each price was
//! confirmed.

/// An AWS price.
#[derive(Clone, Copy, Debug)]
pub struct Price {
    /// What AWS charges for, such as a request.
    pub item: &'static str,
    /// The price of one unit, in dollars.
    pub dollars: f64,
    /// The unit.
    pub unit: &'static str,
    /// The AWS page that states the price.
    pub source: &'static str,
    /// When and how the price was confirmed.
    pub confirmed: &'static str,
}

const GATEWAY: &str = "https://aws.amazon.com/api-gateway/pricing/";
const LAMBDA: &str = "https://aws.amazon.com/lambda/pricing/";
const DYNAMODB: &str = "https://aws.amazon.com/dynamodb/pricing/on-demand/";
const CLOUDWATCH: &str = "https://aws.amazon.com/cloudwatch/pricing/";

/// A request to a REST API. A streamed reply counts as one request for every 10 MB.
pub const REQUESTS: Price = Price {
    item: "API Gateway, requests to a REST API",
    dollars: 3.50,
    unit: "million",
    source: GATEWAY,
    confirmed: "2026-09-20, an example on the page",
};

/// Data sent to the internet.
pub const DATA_OUT: Price = Price {
    item: "API Gateway, data to the internet",
    dollars: 0.09,
    unit: "GB",
    source: GATEWAY,
    confirmed: "2026-09-20, an example on the page",
};

/// An invocation of a function.
pub const INVOCATIONS: Price = Price {
    item: "Lambda, invocations",
    dollars: 0.20,
    unit: "million",
    source: LAMBDA,
    confirmed: "2026-09-20, the page",
};

/// A function's memory, billed while the function starts, runs or waits.
pub const GB_SECONDS: Price = Price {
    item: "Lambda, memory over time (arm64)",
    dollars: 13.3334,
    unit: "million GB-seconds",
    source: LAMBDA,
    confirmed: "2026-09-11, the price list of another region with the same price",
};

/// A DynamoDB write unit.
pub const WRITES: Price = Price {
    item: "DynamoDB, write units on demand",
    dollars: 0.625,
    unit: "million",
    source: DYNAMODB,
    confirmed: "an undated bill of another project; the price since November 2024",
};

/// A DynamoDB read unit.
pub const READS: Price = Price {
    item: "DynamoDB, read units on demand",
    dollars: 0.125,
    unit: "million",
    source: DYNAMODB,
    confirmed: "an undated bill of another project; the price since November 2024",
};

/// Stored data, including indexes.
pub const STORAGE: Price = Price {
    item: "DynamoDB, storage",
    dollars: 0.25,
    unit: "GB-month",
    source: DYNAMODB,
    confirmed: "an undated copy of the price list",
};

/// Point-in-time recovery, priced by table size.
pub const RECOVERY: Price = Price {
    item: "DynamoDB, point-in-time recovery",
    dollars: 0.20,
    unit: "GB-month",
    source: DYNAMODB,
    confirmed: "an undated copy of the price list",
};

/// Reads from a table's stream. A Lambda trigger's reads are free, and the template doesn't create
/// any other readers of the stream.
pub const STREAMS: Price = Price {
    item: "DynamoDB, stream reads by Lambda",
    dollars: 0.0,
    unit: "million",
    source: DYNAMODB,
    confirmed: "not confirmed; it has been free for Lambda triggers for years",
};

/// The ingestion of log lines.
pub const LOGS_IN: Price = Price {
    item: "CloudWatch Logs, ingestion",
    dollars: 0.50,
    unit: "GB",
    source: CLOUDWATCH,
    confirmed: "2026-05-05, a summary of the page",
};

/// The storage of log lines.
pub const LOGS_KEPT: Price = Price {
    item: "CloudWatch Logs, storage",
    dollars: 0.03,
    unit: "GB-month",
    source: CLOUDWATCH,
    confirmed: "2026-05-05, a summary of the page",
};

/// A custom metric. The metrics that the gateway publishes for each method count as custom metrics.
pub const METRICS: Price = Price {
    item: "CloudWatch, custom metrics",
    dollars: 0.30,
    unit: "metric and month",
    source: CLOUDWATCH,
    confirmed: "2026-05-05, a summary of the page",
};

/// An alarm on one metric.
pub const ALARMS: Price = Price {
    item: "CloudWatch, alarms",
    dollars: 0.10,
    unit: "alarm and month",
    source: CLOUDWATCH,
    confirmed: "2026-05-05, a summary of the page",
};

/// A CloudWatch dashboard.
pub const DASHBOARDS: Price = Price {
    item: "CloudWatch, dashboards",
    dollars: 3.00,
    unit: "dashboard and month",
    source: CLOUDWATCH,
    confirmed: "2026-05-05, a summary of the page",
};

/// A recorded trace.
pub const TRACES: Price = Price {
    item: "X-Ray, recorded traces",
    dollars: 5.00,
    unit: "million",
    source: "https://aws.amazon.com/xray/pricing/",
    confirmed: "an undated copy of the page",
};

/// A stored secret.
pub const SECRETS: Price = Price {
    item: "Secrets Manager, secrets",
    dollars: 0.40,
    unit: "secret and month",
    source: "https://aws.amazon.com/secrets-manager/pricing/",
    confirmed: "2026-09-20, an example on the page",
};

/// A read of a secret.
pub const SECRET_READS: Price = Price {
    item: "Secrets Manager, calls",
    dollars: 5.00,
    unit: "million",
    source: "https://aws.amazon.com/secrets-manager/pricing/",
    confirmed: "2026-09-20, an example on the page ($0.05 for 10,000)",
};

/// A sent e-mail.
pub const EMAILS: Price = Price {
    item: "SES, e-mails (plan Essentials; 0.10 without a plan)",
    dollars: 0.16,
    unit: "thousand",
    source: "https://aws.amazon.com/ses/pricing/",
    confirmed: "2026-08-13, the price list of 2026-07-22",
};

/// Every price.
pub const ALL: &[Price] = &[
    REQUESTS,
    DATA_OUT,
    INVOCATIONS,
    GB_SECONDS,
    WRITES,
    READS,
    STORAGE,
    RECOVERY,
    STREAMS,
    LOGS_IN,
    LOGS_KEPT,
    METRICS,
    ALARMS,
    DASHBOARDS,
    TRACES,
    SECRETS,
    SECRET_READS,
    EMAILS,
];

/// Returns the table as it appears in docs/operate/cost.md.
pub fn table() -> String {
    let mut table = "| item | dollars | per | confirmed |\n|---|---|---|---|\n".to_owned();
    for Price { item, dollars, unit, source, confirmed } in ALL {
        // Show whole cents with two digits, even if the second digit is a zero.
        let digits = if (dollars * 100.0).fract().abs() < 1e-9 { 2 } else { 4 };
        table += &format!("| [{item}]({source}) | {dollars:.digits$} | {unit} | {confirmed} |\n");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_price_has_an_aws_page_and_a_date() {
        for price in ALL {
            assert!(price.source.starts_with("https://aws.amazon.com/"), "{price:?}");
            assert!(price.confirmed.len() > 8 && price.dollars >= 0.0, "{price:?}");
        }
    }

    #[test]
    fn the_documentation_shows_this_table() {
        let shown = include_str!("../../../docs/operate/cost.md");
        assert!(shown.contains(&table()), "docs/operate/cost.md needs this table:\n{}", table());
    }
}
