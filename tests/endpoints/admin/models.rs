//! `GET /api/admin/models`, `PUT /api/admin/models`, and the models' costs in
//! `GET /api/admin/figures`.

use std::time::Duration;

use serde_json::{Value, json};
use shared::clock::Day;
use shared::values::PriceList;

use crate::ai::providers::Provider;
use crate::endpoints::chats::fares::{counted_with_writes, list, priced};
use crate::support::client::{Answer, Api, DAY, PRICE, PRICES_KEPT, Person};

const PATH: &str = "/api/admin/models/";

impl Person {
    /// Sets or removes the price list, as an administrator who has seen this version.
    async fn sets_prices(&self, list: &Value, seen: &Value) -> Answer {
        self.put(PATH, json!({ "list": list, "version": seen })).await
    }

    async fn prices(&self) -> Value {
        self.get(PATH).await.is(200)
    }
}

/// The price list of the other tests, but with this price for a message to `quick`.
fn priced_at(price: u64) -> Value {
    let mut list = list("scripted");
    list["models"][0]["fare"]["message"] = json!(price);
    list
}

fn nothing() -> Value {
    json!({ "version": null, "author": null, "time": null, "list": null })
}

#[tokio::test]
async fn lists_are_set_shown_and_removed() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    assert_eq!(root.prices().await, nothing());
    let (first, second) = (priced_at(1), priced_at(2));
    let set = root.sets_prices(&first, &Value::Null).await.is(200);
    let version = PriceList::read(&first).unwrap().version();
    assert_eq!(
        [&set["version"], &set["author"], &set["list"]],
        [&json!(version), &json!(root.id), &first]
    );
    assert!(set["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{set}");
    assert_eq!(root.prices().await, set);
    assert_eq!(root.sets_prices(&first, &set["version"]).await.is(200), set, "nothing changed");

    let other = root.sets_prices(&second, &set["version"]).await.is(200);
    assert_eq!((&other["list"], other["version"] == set["version"]), (&second, false));
    let removed = root.sets_prices(&Value::Null, &other["version"]).await.is(200);
    assert_eq!([&removed, &root.prices().await], [&nothing(), &nothing()]);

    // Earlier versions are kept, because chats refer to them.
    for earlier in [&set, &other] {
        let path = format!("{PATH}?version={}", earlier["version"].as_str().unwrap());
        assert_eq!(root.get(&path).await.is(200), *earlier);
    }
    for unknown in ["0000000000000000", "x"] {
        let path = format!("{PATH}?version={unknown}");
        root.get(&path).await.expect(404, "no_such_price_list");
    }
    let again = root.sets_prices(&first, &Value::Null).await.is(200);
    assert_eq!(again["version"], set["version"]);
}

#[tokio::test]
async fn set_lists_price_messages_after_a_minute() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    root.sets_prices(&priced_at(7), &Value::Null).await.is(200);
    assert_eq!(ann.chat("hi").await.is(200)["tokens_deducted"], PRICE);
    api.server().clock.advance(PRICES_KEPT);
    let chat = ann.chat("hi").await.is(200);
    assert_eq!([&chat["tokens_deducted"], &chat["model"]], [&json!(7), &json!("quick")]);
    assert_eq!(chat["receipt"]["prices"], root.prices().await["version"]);
}

#[tokio::test]
async fn every_problem_names_its_field() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    for (pointer, value, field) in [
        ("", json!(7), "list"),
        ("/currency", json!("dollars"), "list.currency"),
        ("/million_tokens", json!(20), "list.million_tokens"),
        ("/models", json!([]), "list.models"),
        ("/models/0/name", json!("a b"), "list.models[0].name"),
        ("/models/1/name", json!("quick"), "list.models[1].name"),
        ("/models/0/via", json!(["azure"]), "list.models[0].via[0]"),
        ("/models/0/fare", json!({}), "list.models[0].fare.input"),
        ("/models/0/fare/message", json!(-1), "list.models[0].fare.message"),
        ("/models/1/fare/output", json!(0.5), "list.models[1].fare.output"),
        ("/models/1/fare/extra", json!(1), "list.models[1].fare.extra"),
        ("/models/1/most", json!(262_145), "list.models[1].most"),
        ("/models/1/picture", json!("large"), "list.models[1].picture"),
        ("/models/1/about", json!("two\nlines"), "list.models[1].about"),
        ("/models/1/cost", json!({ "input": "1" }), "list.models[1].cost.cached"),
        ("/surcharge", json!(1), "list.surcharge"),
    ] {
        let mut changed = list("scripted");
        match pointer.rsplit_once('/') {
            None => changed = value,
            Some((of, name)) => match changed.pointer_mut(of).unwrap() {
                Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
                fields => fields[name] = value,
            },
        }
        let refused = root.sets_prices(&changed, &Value::Null).await.expect(400, "invalid_fields");
        assert!(refused["errors"][field][0].is_string(), "{pointer}: {refused}");
    }
    let mut two = list("scripted");
    (two["models"][0]["via"], two["models"][1]["most"]) = (json!([]), json!(0));
    let refused = root.sets_prices(&two, &Value::Null).await.expect(400, "invalid_fields");
    assert_eq!(refused["errors"].as_object().unwrap().len(), 2, "{refused}");
    assert_eq!(root.prices().await, nothing());
}

#[tokio::test]
async fn administrators_set_and_see_system_prompts() {
    let api = Api::own(&[("BODY_LIMIT", "1000000")]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let mut list = list("scripted");
    list["system"] = json!(" Be kind.\r\nUse metres.\n");
    list["models"][1]["system"] = json!("Be brief.");
    let set = root.sets_prices(&list, &Value::Null).await.is(200);
    list["system"] = json!("Be kind.\nUse metres.");
    assert_eq!([&set["list"], &root.prices().await["list"]], [&list, &list]);
    api.server().clock.advance(PRICES_KEPT);
    for (model, system) in [("quick", "Be kind.\nUse metres."), ("deep", "Be brief.")] {
        let chat = ann.asks_model(model, "!recall").await.is(200);
        assert_eq!(chat["response"], format!("system: {system}\nuser: !recall"));
    }

    for wrong in ["", " \n", "a\u{0}b", &"x".repeat(8193)] {
        list["system"] = json!("Be kind.");
        list["models"][1]["system"] = json!(wrong);
        let refused = root.sets_prices(&list, &set["version"]).await.expect(400, "invalid_fields");
        assert!(refused["errors"]["list.models[1].system"][0].is_string(), "{refused}");
        (list["system"], list["models"][1]["system"]) = (json!(wrong), json!("Be brief."));
        let refused = root.sets_prices(&list, &set["version"]).await.expect(400, "invalid_fields");
        assert!(refused["errors"]["list.system"][0].is_string(), "{refused}");
    }
    let models = (0..50).map(|index| {
        let mut model = list["models"][0].clone();
        (model["name"], model["system"]) = (json!(format!("m{index}")), json!("x".repeat(8192)));
        model
    });
    let huge = json!({ "models": models.collect::<Vec<Value>>() });
    let refused = root.sets_prices(&huge, &set["version"]).await.expect(400, "invalid_fields");
    assert!(refused["errors"]["list"][0].is_string(), "{refused}");
    assert_eq!(root.prices().await, set);
}

#[tokio::test]
async fn a_list_with_every_field_is_set_and_shown() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let list = json!({
        "currency": "USD",
        "models": [
            { "name": "quick", "via": ["scripted"], "fare": { "message": 1 }, "most": 65_536 },
            {
                "name": "deep", "aliases": ["gpt-5", "claude-*"],
                "via": ["scripted", "anthropic:claude-sonnet-5-5"],
                "fare": { "input": 50_000, "cached": 5000, "write": 62_500, "output": 400_000 },
                "most": 65_537, "prompt_limit": 2_097_152, "answer_limit": 262_144,
                "cost": { "input": "1.25", "cached": "0.125", "write": "1.5625", "output": "10.00" },
            },
            {
                "name": "small", "kind": "embedding", "via": ["scripted"],
                "fare": { "input": 20, "cached": 20, "output": 0 },
            },
        ],
    });
    root.sets_prices(&list, &Value::Null).await.is(200);
    assert_eq!(root.prices().await["list"], list);
}

#[tokio::test]
async fn a_list_that_has_changed_is_not_overwritten() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let first = root.sets_prices(&priced_at(1), &Value::Null).await.is(200);
    let second = root.sets_prices(&priced_at(2), &first["version"]).await.is(200);
    let before = api.items(&root.id).await;
    for list in [priced_at(3), priced_at(1), priced_at(2), Value::Null] {
        for seen in [&Value::Null, &first["version"], &json!("0000000000000000")] {
            root.sets_prices(&list, seen).await.expect(409, "price_list_changed");
        }
    }
    assert_eq!(root.prices().await, second);
    assert_eq!(api.items(&root.id).await, before);
}

#[tokio::test]
async fn of_two_administrators_at_once_one_wins() {
    let api = Api::own(&[]).await;
    let (root, other) = (api.administrator("root").await, api.administrator("other").await);
    let mut seen = Value::Null;
    for round in 0..5 {
        let [one, two] = [priced_at(10 + 2 * round), priced_at(11 + 2 * round)];
        let answers = tokio::join!(root.sets_prices(&one, &seen), other.sets_prices(&two, &seen));
        let answers = [answers.0, answers.1];
        let (set, refused): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!((set.len(), refused.len()), (1, 1));
        for answer in refused {
            answer.expect(409, "price_list_changed");
        }
        let shown = root.prices().await;
        for answer in set {
            assert_eq!(answer.is(200), shown);
        }
        seen = shown["version"].clone();
    }
    let acts = root.every("trail", "?act=prices").await.0;
    assert_eq!(acts.len(), 5, "{acts:?}");
    assert_eq!(acts[0]["reason"], seen);
}

#[tokio::test]
async fn changes_are_on_the_trail_without_a_user() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let set = root.sets_prices(&priced_at(1), &Value::Null).await.is(200);
    root.sets_prices(&priced_at(1), &set["version"]).await.is(200);
    root.sets_prices(&Value::Null, &set["version"]).await.is(200);
    api.prices(&priced_at(2)).await;
    let by_hand = root.prices().await;
    assert_eq!(by_hand["author"], "manage");
    for query in ["", "?act=prices"] {
        let mut acts = root.every("trail", query).await.0;
        // Sort with the newest first, because the command line's clock differs from the server's.
        acts.sort_by_key(|act| act["actor"] == "manage");
        let shown: Vec<_> = acts
            .iter()
            .map(|act| {
                ["act", "user_id", "actor", "actor_name", "reason"].map(|field| act[field].clone())
            })
            .collect();
        let act = |actor: Value, name: Value, reason: &Value| {
            [json!("prices"), Value::Null, actor, name, reason.clone()]
        };
        let by_root = |reason: &Value| act(json!(root.id), json!(root.name), reason);
        let expected = [
            by_root(&json!("")),
            by_root(&set["version"]),
            act(json!("manage"), Value::Null, &by_hand["version"]),
        ];
        assert_eq!(shown, expected, "{query}");
    }
}

#[tokio::test]
async fn only_administrators_see_and_set_the_list() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    ann.get(PATH).await.expect(403, "forbidden");
    for body in [json!({ "list": priced_at(1), "version": null }), json!({ "list": 7 })] {
        ann.put(PATH, body).await.expect(403, "forbidden");
    }
    api.get(PATH).await.expect(401, "not_authenticated");
    root.using(root.refresh.as_str()).get(PATH).await.expect(401, "invalid_token");
    assert_eq!(root.prices().await, nothing());
}

/// Returns this day's figures, including the figures per model.
async fn figures(root: &Person, day: Day) -> Value {
    root.admin(&format!("figures?models=true&from={day}&to={day}")).await.is(200)
}

#[tokio::test]
async fn figures_say_what_models_cost_and_bring_in() {
    let provider = Provider::start().await;
    let mut list = list("openai");
    (list["currency"], list["million_tokens"]) = (json!("USD"), json!("20.00"));
    let [input, cached, write, output] = ["1.25", "0.125", "2.5", "10.00"];
    list["models"][1]["cost"] =
        json!({ "input": input, "cached": cached, "write": write, "output": output });
    let api = priced(&provider, &list, &[]).await;
    // Begin at noon, so that the test doesn't reach the next day.
    let clock = &api.server().clock;
    let today = Day::from_millis(clock.millis()).after(1);
    let noon = today.begins() + 12 * 3_600_000;
    clock.advance(Duration::from_millis(noon - clock.millis()));
    let root = api.administrator("root").await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    provider.does(counted_with_writes(1000, 400, 100, 500));
    for (person, model) in [(&ann, "deep"), (&ann, "deep"), (&ben, "quick")] {
        person.asks_model(model, "hi").await.is(200);
    }
    let line = |chats: u64, tokens: u64, cost: Value, income: &str| {
        json!({
            "chats": chats, "tokens": tokens, "prompt_tokens": 1000 * chats,
            "cached_tokens": 400 * chats, "written_tokens": 100 * chats,
            "completion_tokens": 500 * chats,
            "currency": "USD", "cost": cost, "income": income,
        })
    };
    let of = |fields: Value, mut line: Value| {
        line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        line
    };
    // 1,000 x 1.25 + 800 x 0.125 + 200 x 2.5 + 1,000 x 10 millionths of a dollar.
    let deep = line(2, 464, json!("0.01185"), "0.00928");
    let quick = line(1, 100, Value::Null, "0.002");
    let models = json!([
        of(json!({ "model": "deep" }), deep.clone()),
        of(json!({ "model": "quick" }), quick.clone()),
    ]);
    let user = |person: &Person| json!({ "user_id": person.id, "username": person.name });
    let users = json!([of(user(&ann), deep), of(user(&ben), quick)]);
    let shown = figures(&root, today).await;
    assert_eq!(shown["days"][0]["models"], models);
    assert_eq!([&shown["costs"]["models"], &shown["costs"]["users"]], [&models, &users]);
    let plain = root.admin(&format!("figures?from={today}&to={today}")).await.is(200);
    assert!(plain.get("costs").is_none() && plain["days"][0].get("models").is_none(), "{plain}");
    root.admin("figures?models=yes").await.expect(400, "invalid_fields");

    // If an earlier release has closed a day, the day has figures but no costs.
    clock.advance(DAY);
    let root = root.elsewhere("a day later").await;
    root.admin(&format!("figures?from={today}&to={today}")).await.is(200);
    let figures_of = format!("figures:{today}");
    let stored = api.items("").await["TokensTable"].clone();
    assert!(stored.iter().any(|item| item["pk"] == figures_of.as_str()), "{stored:?}");
    for _ in 0..2 {
        let closed = figures(&root, today).await;
        assert_eq!(closed["days"][0]["closed"], true);
        assert_eq!([&closed["days"][0]["models"], &closed["costs"]["users"]], [&models, &users]);
    }
    // A later list doesn't change the amounts that users have already paid.
    list["million_tokens"] = json!("40.00");
    api.prices(&list).await;
    let ann = ann.elsewhere("a day later").await;
    ann.asks_model("deep", "hi").await.is(200);
    let both = format!("figures?models=true&from={today}&to={}", today.after(1));
    let both = root.admin(&both).await.is(200);
    assert_eq!(
        [&both["days"][0]["models"], &both["days"][1]["models"][0]["income"]],
        [&models, &json!("0.00928")]
    );
    let sum = &both["costs"]["models"][0];
    assert_eq!(
        [&sum["chats"], &sum["income"], &sum["cost"]],
        [&json!(3), &json!("0.01856"), &json!("0.017775")]
    );
}

#[tokio::test]
async fn chats_without_a_list_have_no_costs() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    ann.chat("hi").await.is(200);
    let today = Day::from_millis(api.server().clock.millis());
    let shown = figures(&root, today).await;
    assert_eq!(shown["costs"], json!({ "models": [], "users": [] }));
    assert_eq!(shown["days"][0]["models"], json!([]));
}
