//! `GET /api/admin/brand`, `PUT /api/admin/brand`, the brand in `GET /api/models`, and
//! `GET /brand/{version}/{file}`.

use aws_sdk_dynamodb::types::AttributeValue;
use emulator::dynamo;
use local::list_file;
use serde_json::{Value, json};
use shared::store::SetListOutcome;
use shared::values::Brand;

use crate::support::client::{Answer, Api, PRICES_KEPT, Person, unique};

const PATH: &str = "/api/admin/brand/";

/// A PNG of one pixel.
const LOGO: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

impl Person {
    async fn sets_brand(&self, brand: &Value, seen: &Value) -> Answer {
        self.put(PATH, json!({ "brand": brand, "version": seen })).await
    }
}

fn brand() -> Value {
    json!({
        "name": "Acme Chat",
        "address": "Acme Ltd\nSpringfield",
        "terms_url": "https://www.example.com/terms",
        "color": "#1a4fa3",
        "dark_color": "#8ab4f8",
        "logo": LOGO,
    })
}

#[tokio::test]
async fn brands_are_set_shown_and_removed() {
    let api = Api::own(&[]).await;
    let (root, ann) = (api.administrator("root").await, api.person("ann").await);
    let nothing = json!({ "version": null, "author": null, "time": null, "brand": null });
    assert_eq!(root.get(PATH).await.is(200), nothing);
    ann.get(PATH).await.expect(403, "forbidden");
    ann.sets_brand(&brand(), &Value::Null).await.expect(403, "forbidden");
    let set = root.sets_brand(&brand(), &Value::Null).await.is(200);
    assert_eq!([&set["brand"], &set["author"]], [&brand(), &json!(root.id)]);
    assert_eq!(root.get(PATH).await.is(200), set);
    root.sets_brand(&brand(), &Value::Null).await.expect(409, "brand_changed");

    let trail = root.get("/api/admin/trail/?act=brand").await.is(200);
    assert_eq!([&trail[0]["act"], &trail[0]["reason"]], [&json!("brand"), &set["version"]]);
    assert_eq!(trail[0]["user_id"], Value::Null);
    let removed = root.sets_brand(&Value::Null, &set["version"]).await.is(200);
    assert_eq!([&removed, &root.get(PATH).await.is(200)], [&nothing, &nothing]);
}

/// Replaces the stored brand, but keeps its version.
async fn store_brand(api: &Api, brand: &Value) {
    let update = dynamo::client(&api.dynamodb)
        .update_item()
        .table_name("TokensTable")
        .key("pk", AttributeValue::S("brand:current".into()))
        .update_expression("SET #list = :list")
        .expression_attribute_names("#list", "list");
    let list = AttributeValue::S(brand.to_string());
    update.expression_attribute_values(":list", list).send().await.unwrap();
}

/// Replaces the stored brand with one that this release refuses.
async fn spoil_brand(api: &Api) {
    store_brand(api, &json!({ "name": "Acme", "color": "blue" })).await;
}

#[tokio::test]
async fn brands_that_a_release_refuses_can_be_replaced() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    for new in [json!({ "name": "Nova" }), Value::Null] {
        let seen = root.get(PATH).await.is(200)["version"].clone();
        let mut set = root.sets_brand(&brand(), &seen).await.is(200);
        spoil_brand(&api).await;
        set["brand"] = Value::Null;
        assert_eq!(root.get(PATH).await.is(200), set);
        root.sets_brand(&new, &Value::Null).await.expect(409, "brand_changed");
        let replaced = root.sets_brand(&new, &set["version"]).await.is(200);
        assert_eq!(replaced["brand"], new);
        assert_eq!(root.get(PATH).await.is(200), replaced);
    }

    let app = &api.server().apps["admin_brand_change"];
    let nova: Brand = "{\"name\": \"Nova\"}".parse().unwrap();
    for new in [Some(&nova), None] {
        list_file::set::<Brand>(app, Some(&brand().to_string().parse().unwrap())).await.unwrap();
        spoil_brand(&api).await;
        let set = list_file::set(app, new).await.unwrap();
        let SetListOutcome::Set(stored) = set else { panic!("{set:?}") };
        assert_eq!(stored.map(|stored| stored.list).as_ref(), new);
    }
}

#[tokio::test]
async fn wrong_brands_name_the_field() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    for (field, value, said) in [
        ("name", json!(""), "empty"),
        ("terms_url", json!("javascript:alert(1)"), "https://"),
        ("color", json!("#ffd54a"), "1.3:1"),
        ("dark_color", json!("#1a4fa3"), "lighter"),
        ("logo", json!("<svg xmlns=\"http://www.w3.org/2000/svg\"/>"), "must be a PNG"),
    ] {
        let mut wrong = brand();
        wrong[field] = value;
        let refused = root.sets_brand(&wrong, &Value::Null).await.expect(400, "invalid_fields");
        let sentence = refused["errors"][field][0].as_str().unwrap_or_default();
        assert!(sentence.contains(said), "{refused}");
    }
}

#[tokio::test]
async fn visitors_see_the_brand_after_a_minute() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    assert_eq!(api.get("/api/models/").await.is(200)["brand"], Value::Null);
    api.get("/brand/0/logo.svg").await.expect(404, "not_found");
    let set = root.sets_brand(&brand(), &Value::Null).await.is(200);
    api.server().clock.advance(PRICES_KEPT);

    let shown = api.get("/api/models/").await.is(200)["brand"].clone();
    let files = format!("brand/{}/", set["version"].as_str().unwrap());
    let mut expected = brand();
    expected.as_object_mut().unwrap().remove("logo");
    expected["files"] = json!(files);
    assert_eq!(shown, expected);

    let logo = api.get(&format!("/{files}logo.svg")).await;
    assert_eq!(logo.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(logo.header("content-type"), "image/svg+xml; charset=utf-8");
    assert_eq!(
        logo.header("content-security-policy"),
        "default-src 'none'; frame-ancestors 'none'; sandbox; img-src data:"
    );
    let url = format!("data:image/png;base64,{LOGO}");
    let image = format!("<image width=\"1\" height=\"1\" href=\"{url}\"/>");
    assert_eq!(logo.is(200), svg(1, &image));
    let manifest = api.get(&format!("/{files}app.webmanifest")).await.is(200);
    assert_eq!([&manifest["name"], &manifest["id"]], ["Acme Chat", "farebox"]);
    let icon = &manifest["icons"][0];
    assert_eq!([&icon["src"], &icon["type"], &icon["sizes"]], [url.as_str(), "image/png", "1x1"]);
    let old = api.get("/brand/0/logo.svg").await;
    assert_eq!(old.header("cache-control"), "no-store");
    old.is(200);
    api.get(&format!("/{files}logo.png")).await.expect(404, "not_found");
}

fn svg(side: usize, shape: &str) -> Value {
    let root = "<svg xmlns=\"http://www.w3.org/2000/svg\"";
    json!(format!("{root} viewBox=\"0 0 {side} {side}\">{shape}</svg>"))
}

#[tokio::test]
async fn earlier_svg_logos_are_shown_unless_they_clip() {
    let api = Api::own(&[]).await;
    let root = api.administrator("root").await;
    let set = root.sets_brand(&brand(), &Value::Null).await.is(200);
    let logo = format!("/brand/{}/logo.svg", set["version"].as_str().unwrap());
    let mut stored = brand();
    stored["logo"] = svg(8, "<circle r=\"4\"/>");
    store_brand(&api, &stored).await;
    api.server().clock.advance(PRICES_KEPT);
    assert_eq!(api.get(&logo).await.is(200), stored["logo"]);
    assert_eq!(root.get(PATH).await.is(200)["brand"], stored);
    let refused = root.sets_brand(&stored, &set["version"]).await.expect(400, "invalid_fields");
    assert!(refused["errors"]["logo"][0].is_string(), "{refused}");

    stored["logo"] = svg(8, "<g clip-path=\"url(#a)\"/>");
    store_brand(&api, &stored).await;
    api.server().clock.advance(PRICES_KEPT);
    stored.as_object_mut().unwrap().remove("logo");
    let shown = api.get(&logo).await.is(200);
    assert!(shown.as_str().unwrap().contains(">A</text>"), "{shown}");
    assert_eq!(root.get(PATH).await.is(200)["brand"], stored);
    let replaced = root.sets_brand(&stored, &set["version"]).await.is(200);
    assert_eq!(replaced["brand"], stored);
}

#[tokio::test]
async fn e_mails_carry_the_brand() {
    let api = Api::own(&[("MAIL_URL", "https://app.example.com/")]).await;
    let root = api.administrator("root").await;
    root.sets_brand(&brand(), &Value::Null).await.is(200);
    api.server().clock.advance(PRICES_KEPT);
    let address = format!("{}@example.com", unique("ann"));
    api.person_at(&unique("ann"), &address).await;
    let mails = api.mails_to(&address, 1).await;
    assert_eq!(mails[0].subject, "Acme Chat: Verify your e-mail address");
    assert!(
        mails[0].text.ends_with("\n-- \nAcme Chat\nAcme Ltd\nSpringfield\n"),
        "{}",
        mails[0].text
    );
}
