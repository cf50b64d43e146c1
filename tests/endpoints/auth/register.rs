//! `POST /api/register`.

use argon2::password_hash::phc::PasswordHash;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::endpoints::auth::attempts::from;
use crate::support::client::{Api, GRANT, Person, token_in, unique};
use crate::support::rig::{Rig, is_current, strong_hash};

const PASSWORD: &str = "secret123";

#[tokio::test]
async fn new_users_have_an_account_a_grant_and_a_session() {
    let api = Api::start().await;
    let (name, email) = (unique("Ann"), format!("{}@example.com", unique("ann")));
    let answer =
        api.register(json!({ "username": name, "email": email, "password": PASSWORD })).await;
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-store");
    let registered = answer.is(201);

    let user = &registered["user"];
    assert_eq!(
        [&user["username"], &user["email"], &user["role"]],
        [&json!(name), &json!(email), &json!("user")]
    );
    for field in ["id", "username", "email", "date_joined"] {
        assert_eq!(registered[field], user[field], "the user's data is beside `user` too");
    }
    for field in ["tokens", "tokens_left", "remaining_tokens", "tokens_remaining"] {
        assert_eq!(registered[field], GRANT, "{field}");
    }
    let known = [
        "message",
        "user",
        "id",
        "username",
        "email",
        "role",
        "is_staff",
        "date_joined",
        "token",
        "access",
        "refresh",
    ];
    let known: Vec<_> = known
        .into_iter()
        .chain(["email_verified", "pending_email", "first_name", "last_name"])
        .collect();
    let balance = ["tokens", "tokens_left", "remaining_tokens", "tokens_remaining"];
    let unknown: Vec<_> = registered
        .as_object()
        .unwrap()
        .keys()
        .filter(|field| !known.iter().chain(&balance).any(|known| known == field))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");

    api.mails_to(&email, 1).await;
    let items = api.items(registered["id"].as_str().unwrap()).await;
    let tokens =
        items["TokensTable"].iter().filter(|item| item["user_id"] == registered["id"]).count();
    assert_eq!(items["UsersTable"].len(), 2, "the account and the claim of its address");
    assert_eq!(tokens, 2, "the session and the link");
    let [grant] = items["LedgerTable"].as_slice() else { panic!("{items:?}") };
    assert_eq!([&grant["amount"], &grant["kind"]], [&json!(GRANT), &json!("grant")]);
}

#[tokio::test]
async fn passwords_are_stored_as_argon2id_hashes() {
    let api = Api::start().await;
    let (ann, ben) = (api.person("ann").await, api.person("ben").await);
    let hashes = [api.account(&ann).await.password, api.account(&ben).await.password];
    assert_ne!(hashes[0], hashes[1], "each has its own salt");
    for hash in &hashes {
        assert!(is_current(hash), "{hash}");
        let hash = PasswordHash::new(hash).unwrap();
        assert_eq!(hash.algorithm.as_str(), "argon2id");
        assert_eq!(hash.salt.as_ref().map(|salt| salt.as_ref().len()), Some(16));
    }
    let kept = format!("{:?}", api.items(&ann.id).await);
    for secret in [PASSWORD, &ann.access, &ann.token, &ann.refresh] {
        assert!(!kept.contains(secret), "{secret} in {kept}");
    }
}

#[tokio::test]
async fn all_invalid_fields_are_named_and_nothing_is_stored() {
    let api = Api::start().await;
    let name = unique("ann");
    let before = api.items(&name).await;
    let long = |letters: usize| json!("x".repeat(letters));
    let named = |username: Value| json!({ "username": username, "password": PASSWORD });
    let with_password = |password: Value| json!({ "username": name, "password": password });
    let with_email =
        |email: Value| json!({ "username": name, "password": PASSWORD, "email": email });
    for (registration, fields) in [
        (json!({}), vec!["username", "password"]),
        (json!({ "username": name }), vec!["password"]),
        (json!({ "password": PASSWORD }), vec!["username"]),
        (json!({ "username": "", "password": "" }), vec!["username", "password"]),
        (named(json!(null)), vec!["username"]),
        (named(json!(format!("{name} smith"))), vec!["username"]),
        (named(json!(format!("{name}\0"))), vec!["username"]),
        (named(json!(format!("{name}\n"))), vec!["username"]),
        (named(json!(format!("{name}😀"))), vec!["username"]),
        (named(json!(format!("{name}/../admin"))), vec!["username"]),
        (named(json!(format!("<b>{name}"))), vec!["username"]),
        (named(json!(format!("\u{202e}{name}"))), vec!["username"]),
        (named(json!("r\u{43e}\u{43e}t")), vec!["username"]),
        (named(json!("\u{430}dmin")), vec!["username"]),
        (named(json!("\u{3b1}dmin")), vec!["username"]),
        (named(long(151)), vec!["username"]),
        (with_password(json!("1234567")), vec!["password"]),
        (with_password(long(257)), vec!["password"]),
        (with_password(json!(name.to_uppercase())), vec!["password"]),
        (with_password(json!("12345678")), vec!["password"]),
        (with_password(json!("PassWord123")), vec!["password"]),
        (
            json!({ "username": name, "password": "Ann.Smith", "email": "ann.smith@example.com" }),
            vec!["password"],
        ),
        (json!({ "username": name, "password1": "short" }), vec!["password1"]),
        (
            json!({ "username": name, "password": PASSWORD, "password2": "secret124" }),
            vec!["password2"],
        ),
        (
            json!({ "username": name, "password1": PASSWORD, "password2": "secret124" }),
            vec!["password2"],
        ),
        (json!({ "username": name, "password2": PASSWORD }), vec!["password", "password2"]),
        (with_email(json!("nobody")), vec!["email"]),
        (with_email(json!("nobody@localhost")), vec!["email"]),
        (with_email(json!("a b@example.com")), vec!["email"]),
        (with_email(json!("a@evil.example/x?y=")), vec!["email"]),
        (with_email(json!("a@evil.example=b")), vec!["email"]),
        (with_email(json!("ann@example.com\r\nBcc: eve@example.com")), vec!["email"]),
        (with_email(long(260)), vec!["email"]),
        (
            json!({ "username": name, "password": "ann@example.com", "email": "Ann@Example.com" }),
            vec!["password"],
        ),
        (
            json!({ "username": "a b", "password": "x", "password2": "y", "email": "z" }),
            vec!["email", "password", "password2", "username"],
        ),
    ] {
        let refused = api.register(registration.clone()).await.expect(400, "invalid_fields");
        let mut named: Vec<&str> =
            refused["errors"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut fields = fields;
        named.sort_unstable();
        fields.sort_unstable();
        assert_eq!(named, fields, "{registration}");
        for sentences in refused["errors"].as_object().unwrap().values() {
            assert!(
                sentences[0]
                    .as_str()
                    .is_some_and(|sentence| sentence.ends_with(|end| ".-_".contains(end))),
                "{refused}"
            );
        }
    }
    assert_eq!(api.items(&name).await, before);
}

#[tokio::test]
async fn passwords_of_any_characters_work() {
    let api = Api::start().await;
    let longest = "x".repeat(256);
    for password in [
        "secret123",
        "strongpassword",
        "StrongPass123!",
        "testpass123",
        " spaces at the ends ",
        "my dog 🐕",
        "паролина",
        "nul\0inside",
        "\"quotes\" and \\",
        &longest,
    ] {
        let ann = api.person_with(json!({ "username": unique("ann"), "password": password })).await;
        ann.log_in().await.is(200);
    }
}

#[tokio::test]
async fn password1_is_an_alias_and_password2_must_repeat_it() {
    let api = Api::start().await;
    for fields in [
        json!({ "password1": PASSWORD }),
        json!({ "password1": PASSWORD, "password2": PASSWORD }),
        json!({ "password": PASSWORD, "password2": PASSWORD }),
        json!({ "password": PASSWORD, "password1": "is not looked at", "email": "" }),
        json!({ "password": PASSWORD, "email": null }),
    ] {
        let mut registration = fields;
        registration["username"] = json!(unique("ann"));
        api.register(registration.clone()).await.is(201);
        api.log_in(json!({ "username": registration["username"], "password": PASSWORD }))
            .await
            .is(200);
    }
}

#[tokio::test]
async fn users_cannot_choose_their_credits_role_or_id() {
    let api = Api::start().await;
    let ben = api.person("ben").await;
    let ann = api.person_with(json!({
        "username": unique("ann"), "password": PASSWORD, "id": ben.id, "pk": format!("user:{}", ben.name), "role": "admin", "is_staff": true,
        "is_superuser": true, "active": false, "tokens": 999_999, "tokens_left": 999_999, "granted": 999_999, "spent": -5, "auth_epoch": 7,
        "user": { "role": "admin" }, "__proto__": { "role": "admin" },
    }));
    let ann = ann.await;
    let account = api.account(&ann).await;
    assert_ne!(account.id, ben.id);
    assert_eq!(
        [account.tokens.get(), account.granted.get(), account.spent.get()],
        [GRANT, GRANT, 0]
    );
    assert_eq!(
        (account.role, account.active, account.auth_epoch),
        (shared::values::Role::User, true, 1)
    );
    assert_eq!(ann.profile().await.is(200)["role"], "user");
    assert_eq!(ben.balance().await, GRANT);
}

#[tokio::test]
async fn names_are_taken_in_every_case_and_unicode_form() {
    let api = Api::start().await;
    let name = unique("josé");
    let ann = api.person_with(json!({ "username": name, "password": PASSWORD })).await;
    let before = api.items(&ann.id).await;
    let full_width = name.replacen('j', "ｊ", 1);
    for same in [name.clone(), name.to_uppercase(), full_width.to_uppercase(), full_width] {
        api.register(json!({ "username": same, "password": "another-one" }))
            .await
            .expect(400, "username_taken");
    }
    assert_eq!(api.items(&ann.id).await, before);
    ann.log_in().await.is(200);
}

#[tokio::test]
async fn names_ignore_the_unicode_form() {
    let api = Api::start().await;
    let name = unique("josé");
    let ann = api.person_with(json!({ "username": name, "password": PASSWORD })).await;
    let decomposed = name.replace('é', "e\u{301}");
    assert_eq!(
        api.log_in(json!({ "username": decomposed, "password": PASSWORD })).await.is(200)["user"]["id"],
        json!(ann.id)
    );
    api.register(json!({ "username": decomposed, "password": "another-one" }))
        .await
        .expect(400, "username_taken");
}

#[tokio::test]
async fn letters_with_a_two_character_lower_case_are_accepted() {
    let api = Api::start().await;
    let ann =
        api.person_with(json!({ "username": unique("İstanbul"), "password": PASSWORD })).await;
    ann.log_in().await.is(200);
}

#[tokio::test]
async fn addresses_belong_to_one_account_as_name_or_e_mail() {
    let api = Api::start().await;
    let (as_email, as_name) =
        (format!("{}@example.com", unique("ann")), format!("{}@example.com", unique("ben")));
    let ann = api.person_at(&unique("ann"), &as_email).await;
    let ben = api.person_with(json!({ "username": as_name, "password": PASSWORD })).await;
    let somebody = |username: &str, email: Option<&str>| json!({ "username": username, "email": email, "password": PASSWORD });
    for (person, address) in [(&ann, &as_email), (&ben, &as_name)] {
        person.verifies(&api.token_to(address).await).await.is(200);
    }
    let before = (api.items(&ann.id).await, api.items(&ben.id).await);
    for (registration, code) in [
        (somebody(&unique("eve"), Some(&as_email)), "email_taken"),
        (somebody(&unique("eve"), Some(&as_email.to_uppercase())), "email_taken"),
        (somebody(&unique("eve"), Some(&as_name)), "email_taken"),
        (somebody(&as_email, None), "username_taken"),
        (somebody(&as_name, Some(&as_name)), "username_taken"),
    ] {
        let refused = api.register(registration.clone()).await;
        assert_eq!(refused.body["code"], code, "{registration}");
        refused.expect(400, code);
    }
    assert_eq!((api.items(&ann.id).await, api.items(&ben.id).await), before);

    let own = format!("{}@example.com", unique("cleo"));
    let cleo = api.person_with(somebody(&own, Some(&own))).await;
    cleo.log_in().await.is(200);
}

#[tokio::test]
async fn names_with_an_at_sign_are_unproven_addresses() {
    let api = Api::start().await;
    for beside in ["nothing", "blanks", "the same"] {
        let address = format!("{}@Example.com", unique("Ann"));
        let email = match beside {
            "nothing" => json!(null),
            "blanks" => json!(" "),
            _ => json!(address.to_lowercase()),
        };
        let registered = api
            .register(json!({ "username": address, "email": email, "password": PASSWORD }))
            .await
            .is(201);
        assert_eq!(
            (&registered["username"], &registered["email_verified"]),
            (&json!(address), &json!(false))
        );
        let email = registered["email"].as_str().unwrap();
        assert_eq!(email.to_lowercase(), address.to_lowercase());
        let token = api.token_to(email).await;
        let ann = json!({ "username": address, "password": PASSWORD });
        Person::of(&api, &ann, &registered).verifies(&token).await.is(200);
        api.log_in(json!({ "username": address.to_lowercase(), "password": PASSWORD }))
            .await
            .is(200);
    }

    let named = |name: &str, email: Option<&str>| json!({ "username": name, "email": email, "password": PASSWORD });
    let other = format!("{}@example.com", unique("ann"));
    let long = format!("{}@example.com", "x".repeat(100));
    for registration in [
        named("@ann", None),
        named("ann@", None),
        named("ann@home", None),
        named("a@b@example.com", None),
        named(&long, Some(&other)),
    ] {
        let refused = api.register(registration.clone()).await.expect(400, "invalid_fields");
        assert!(
            refused["errors"]["username"][0]
                .as_str()
                .is_some_and(|sentence| sentence.contains("e-mail address")),
            "{registration}: {refused}"
        );
    }
    api.log_in(json!({ "username": other, "password": PASSWORD }))
        .await
        .expect(401, "invalid_credentials");
}

#[tokio::test]
async fn a_name_equal_to_an_address_does_not_block_its_owner() {
    let rig = Rig::start().await;
    let api = &rig.api;
    let logs_in = async |login: &str| {
        let answer = api.log_in(json!({ "username": login, "password": PASSWORD })).await;
        (answer.status == 200).then(|| answer.body["user"]["id"].as_str().unwrap().to_owned())
    };
    for from_before in [false, true] {
        let [address, name] =
            ["owner", "squatter"].map(unique).map(|name| format!("{name}@example.com"));
        // In earlier versions, names with an `@` didn't claim an address.
        let squatter = match from_before {
            true => rig.person_with(address.clone(), strong_hash(), None).await,
            false => api.person_with(json!({ "username": address, "password": PASSWORD })).await,
        };
        assert_eq!(logs_in(&address).await.as_ref(), Some(&squatter.id));
        if !from_before {
            // Two e-mails that are sent at the same time may arrive in either order.
            api.mails_to(&address, 1).await;
        }
        let owner = match from_before {
            true => api.person_at(&unique("owner"), &address).await,
            false => {
                let owner = api.person("owner").await;
                let profile = owner.change(json!({ "email": address })).await.is(200);
                assert_eq!(
                    (&profile["email"], &profile["pending_email"]),
                    (&json!(null), &json!(address))
                );
                owner
            }
        };
        assert_eq!(
            logs_in(&address).await.as_ref(),
            Some(&squatter.id),
            "until the address is proven"
        );
        let mails = api.mails_to(&address, if from_before { 1 } else { 2 }).await;
        let token = token_in(mails.last().unwrap());
        owner.verifies(&token).await.is(200);

        assert_eq!(logs_in(&address).await.as_ref(), Some(&owner.id));
        assert_eq!(logs_in(&owner.name).await.as_ref(), Some(&owner.id));
        assert_eq!(squatter.profile().await.is(200)["email"], json!(null));
        if !from_before {
            squatter.change(json!({ "email": address })).await.expect(409, "email_taken");
            squatter.change(json!({ "email": name })).await.is(200);
            assert_eq!(
                logs_in(&name).await.as_ref(),
                Some(&squatter.id),
                "the squatter goes on with an address of its own"
            );
        }
    }
}

#[tokio::test]
async fn reserved_names_can_still_log_in() {
    let rig = Rig::start().await;
    for name in [format!("@{}", unique("ann")), unique("r\u{43e}\u{43e}t")] {
        let ann = rig.person_with(name.clone(), strong_hash(), None).await;
        assert_eq!(
            rig.api
                .log_in(json!({ "username": name.to_uppercase(), "password": PASSWORD }))
                .await
                .is(200)["user"]["id"],
            json!(ann.id)
        );
        rig.api
            .register(json!({ "username": name, "password": PASSWORD }))
            .await
            .expect(400, "invalid_fields");
    }
}

#[tokio::test]
async fn one_of_twenty_parallel_registrations_wins() {
    let api = Api::own(&[]).await;
    let name = unique("ann");
    let people = (0..20).map(|n| json!({ "username": name, "password": format!("password-{n}") }));
    let people: Vec<_> = people.collect();
    let answers =
        join_all(people.iter().map(|person| from(&api, "127.0.0.1", "register", person))).await;
    let mut winners = Vec::new();
    for (n, (status, body)) in answers.into_iter().enumerate() {
        match status {
            201 => winners.push((n, body)),
            _ => assert_eq!((status, &body["code"]), (400, &json!("username_taken"))),
        }
    }
    let [(n, registered)] = winners.as_slice() else { panic!("{winners:?}") };
    api.log_in(json!({ "username": name, "password": format!("password-{n}") })).await.is(200);
    let grants = api.items(registered["id"].as_str().unwrap()).await["LedgerTable"].len();
    assert_eq!(grants, 1);
}

#[tokio::test]
async fn repeated_registrations_count_as_guesses_for_a_day() {
    let api = Api::own(&[("LOGIN_ATTEMPTS", "30")]).await;
    let name = unique("ann");
    let under_key = async |password: &str| {
        let body = json!({ "username": name, "password": password });
        api.send(reqwest::Method::POST, "/api/register/", &[("idempotency-key", "k1")], Some(body))
            .await
    };
    let first = under_key("secret123").await;
    let body = json!({ "username": name, "password": "secret123" });
    api.moves(&Person::of(&api, &body, &first.body)).await;
    let first = first.is(201);
    for _ in 0..4 {
        under_key("secret124").await.expect(400, "username_taken");
    }
    for password in ["secret124", "secret123"] {
        under_key(password).await.expect(429, "too_many_attempts");
        api.log_in(json!({ "username": name, "password": password }))
            .await
            .expect(429, "too_many_attempts");
    }
    api.server().clock.advance(std::time::Duration::from_secs(12 * 3600));
    assert_eq!(under_key("secret123").await.is(201)["id"], first["id"], "a guess after a pause");
    api.server().clock.advance(std::time::Duration::from_secs(12 * 3600));
    for password in ["secret123", "secret124"] {
        under_key(password).await.expect(400, "username_taken");
    }
}
