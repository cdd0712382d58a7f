//! The tables as diesel sees them; `migrations/control` makes them.

diesel::table! { site (id) { id -> BigInt, uuid -> Text, name -> Text, created_on -> BigInt, paused -> Bool, proxy -> Nullable<Text>, formerly -> Nullable<Text>, moved_to -> Nullable<Text>, } }

diesel::table! { clone (uuid) { uuid -> Text, since -> BigInt, } }

diesel::table! { moved (uuid) { uuid -> Text, former -> Text, } }

diesel::table! { database (name) { name -> Text, url -> Text, password -> Nullable<Binary>, } }

diesel::table! { journal_mark (database) { database -> Text, epoch -> Text, incarnation -> BigInt, runs -> BigInt, } }

diesel::table! { attached (resource) { resource -> Text, database -> Text, table_name -> Text, } }

diesel::table! {
    repository (id) {
        id -> BigInt,
        uuid -> Nullable<Text>,
        name -> Text,
        url -> Nullable<Text>,
        username -> Nullable<Text>,
        password -> Nullable<Binary>,
        proxy -> Nullable<Text>,
        accept_pushes -> Bool,
        enabled -> Bool,
        kind -> Text,
        offered_name -> Nullable<Text>,
    }
}

diesel::table! {
    resource (id) {
        id -> BigInt,
        repository -> BigInt,
        name -> Text,
        mode -> Text,
        strategy -> Text,
        update_policy -> Text,
        conflict_policy -> Text,
        merge_fields -> Bool,
        accept_twins -> Bool,
        filters -> Text,
    }
}

diesel::table! {
    job (id) {
        id -> BigInt,
        repository -> BigInt,
        enabled -> Bool,
        every -> Nullable<BigInt>,
        cron -> Nullable<Text>,
        on_change -> Bool,
        zone -> Text,
        start_on -> Nullable<BigInt>,
        end_on -> Nullable<BigInt>,
        times -> BigInt,
        timeout -> BigInt,
        priority -> Integer,
        retries -> BigInt,
        next_run -> Nullable<BigInt>,
        runs -> BigInt,
        failures -> BigInt,
        lease_holder -> Nullable<Text>,
        lease_since -> Nullable<BigInt>,
        lease_until -> Nullable<BigInt>,
        fence -> BigInt,
        ask -> Nullable<Text>,
    }
}

diesel::table! {
    lease (repository) {
        repository -> BigInt,
        holder -> Nullable<Text>,
        since -> Nullable<BigInt>,
        until -> Nullable<BigInt>,
        fence -> BigInt,
    }
}

diesel::table! {
    log (id) {
        id -> BigInt,
        run -> Nullable<BigInt>,
        time -> BigInt,
        duration -> BigInt,
        repository -> Nullable<BigInt>,
        repository_name -> Nullable<Text>,
        resource -> Nullable<Text>,
        action -> Text,
        direction -> Text,
        outcome -> Text,
        remote -> Bool,
        message -> Text,
        records -> BigInt,
        created -> BigInt,
        updated -> BigInt,
        deleted -> BigInt,
        unchanged -> BigInt,
        kept -> BigInt,
        conflicts -> BigInt,
        quarantined -> BigInt,
        parked -> BigInt,
        bytes -> BigInt,
        holder -> Nullable<Text>,
        retracted -> BigInt,
    }
}

diesel::table! {
    account (name) {
        name -> Text,
        role -> Text,
        may_pull -> Bool,
        may_push -> Bool,
        resources -> Nullable<Text>,
        bound -> Nullable<Text>,
        password -> Text,
    }
}

diesel::table! { token (digest) { digest -> Binary, account -> Text, repository -> BigInt, expires_on -> BigInt, } }

diesel::table! { api_token (digest) { digest -> Binary, name -> Text, account -> Nullable<Text>, scope -> Text, created_on -> BigInt, expires_on -> Nullable<BigInt>, } }

diesel::table! { setup_code (id) { id -> BigInt, digest -> Binary, created_on -> BigInt, } }

diesel::table! { key_check (id) { id -> BigInt, sealed -> Binary, } }

diesel::table! { guess (digest) { digest -> Binary, count -> BigInt, last -> BigInt, } }

diesel::table! { visit (entry) { entry -> BigInt, repository -> BigInt, resource -> Text, run -> BigInt, } }

diesel::table! { verified (resource) { resource -> BigInt, at -> BigInt, } }

diesel::table! {
    housekeeping (id) {
        id -> BigInt,
        last -> Nullable<BigInt>,
        holder -> Nullable<Text>,
        until -> Nullable<BigInt>,
    }
}

diesel::table! {
    browser_session (digest) {
        digest -> Binary,
        account -> Text,
        created_on -> BigInt,
        seen_on -> BigInt,
        expires_on -> BigInt,
        address -> Text,
        agent -> Text,
    }
}

diesel::table! {
    progress (repository) {
        repository -> BigInt,
        run -> BigInt,
        resource -> Text,
        direction -> Text,
        records -> BigInt,
        total -> Nullable<BigInt>,
        begun -> BigInt,
        at -> BigInt,
    }
}

diesel::table! {
    met (repository) {
        repository -> BigInt,
        waiting -> Nullable<BigInt>,
        waiting_on -> Nullable<BigInt>,
        taken -> Text,
        offer -> Nullable<Text>,
        offer_on -> Nullable<BigInt>,
    }
}

diesel::table! {
    condition (repository) {
        repository -> BigInt,
        run -> BigInt,
        time -> BigInt,
        outcome -> Text,
        message -> Text,
        failures -> BigInt,
        last_success -> Nullable<BigInt>,
        skew -> Nullable<BigInt>,
        version -> Nullable<Text>,
    }
}

diesel::table! { traffic (hour) { hour -> BigInt, received -> BigInt, sent -> BigInt, bytes -> BigInt, } }

diesel::joinable!(token -> account (account));
diesel::joinable!(visit -> log (entry));
diesel::allow_tables_to_appear_in_same_query!(visit, log);
diesel::joinable!(browser_session -> account (account));
diesel::allow_tables_to_appear_in_same_query!(account, browser_session);
diesel::joinable!(api_token -> account (account));
diesel::allow_tables_to_appear_in_same_query!(account, token);
diesel::allow_tables_to_appear_in_same_query!(account, api_token);
diesel::allow_tables_to_appear_in_same_query!(repository, resource);
