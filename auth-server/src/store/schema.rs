//! The tables of `migrations/auth`, in the columns that SQLite and PostgreSQL share.

#![expect(missing_docs, reason = "the columns speak for themselves")]

diesel::table! {
    clients (id) {
        id -> Text,
        metadata -> Json,
        created_at -> BigInt,
        updated_at -> BigInt,
        unused_since -> Nullable<BigInt>,
        hears_logout -> Bool,
        hears_by_session -> Bool,
    }
}

diesel::table! {
    registrations (client_id) {
        client_id -> Text,
        token_digest -> Binary,
        next_digest -> Nullable<Binary>,
        permitted_by -> Text,
    }
}

diesel::table! {
    registration_tokens (id) {
        id -> Text,
        digest -> Binary,
        name -> Nullable<Text>,
        uses_left -> BigInt,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    client_secrets (client_id, digest) {
        client_id -> Text,
        digest -> Binary,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        sealed -> Nullable<Binary>,
        kek_id -> Nullable<Text>,
    }
}

diesel::table! {
    client_origins (client_id, origin) {
        client_id -> Text,
        origin -> Text,
    }
}

diesel::table! {
    resource_servers (normal) {
        normal -> Text,
        identifier -> Text,
        name -> Text,
        alg -> Text,
        lifetime -> BigInt,
        introspection_client_id -> Nullable<Text>,
        created_at -> BigInt,
        updated_at -> BigInt,
        subject_type -> Text,
        token_format -> Text,
        claims -> Nullable<Json>,
    }
}

diesel::table! {
    scopes (resource, name) {
        resource -> Text,
        name -> Text,
        description -> Text,
    }
}

diesel::table! {
    authorization_details_types (name) {
        name -> Text,
        resource -> Text,
        description -> Text,
        schema -> Json,
        additive -> Json,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    signing_keys (kid) {
        kid -> Text,
        alg -> Text,
        jwk -> Json,
        sealed -> Binary,
        kek_id -> Text,
        created_at -> BigInt,
        signs_from -> BigInt,
        revoked_at -> Nullable<BigInt>,
        wiped_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    revocations (kind, subject) {
        kind -> Text,
        subject -> Text,
        recorded_at -> BigInt,
        matters_until -> BigInt,
        cutoff -> Nullable<BigInt>,
    }
}

diesel::table! {
    changes (kind, subject) {
        kind -> Text,
        subject -> Text,
        changed_at -> BigInt,
    }
}

diesel::table! {
    accounts (id) {
        id -> Text,
        email -> Text,
        email_normal -> Text,
        email_verified -> Bool,
        name -> Nullable<Text>,
        password_hash -> Nullable<Text>,
        password_changed_at -> Nullable<BigInt>,
        epoch -> BigInt,
        signed_in_at -> Nullable<BigInt>,
        disabled_at -> Nullable<BigInt>,
        created_at -> BigInt,
        updated_at -> BigInt,
        profile -> Nullable<Json>,
        attributes -> Nullable<Json>,
    }
}

diesel::table! {
    sign_in_locks (identifier_digest) {
        identifier_digest -> Binary,
        locked_until -> BigInt,
    }
}

diesel::table! {
    sessions (id) {
        id -> Text,
        cookie_digest -> Binary,
        account_id -> Text,
        auth_time -> BigInt,
        amr -> Json,
        user_agent -> Nullable<Text>,
        created_at -> BigInt,
        seen_at -> BigInt,
        expires_at -> BigInt,
        ended_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    consents (account_id, client_id) {
        account_id -> Text,
        client_id -> Text,
        scope -> Text,
        resources -> Json,
        created_at -> BigInt,
        updated_at -> BigInt,
        client_digest -> Nullable<Binary>,
        claims -> Nullable<Json>,
        authorization_details -> Nullable<Json>,
    }
}

diesel::table! {
    grants (id) {
        id -> Text,
        code_digest -> Nullable<Binary>,
        client_id -> Text,
        account_id -> Text,
        session_id -> Nullable<Text>,
        offline -> Bool,
        scope -> Text,
        resources -> Json,
        auth_time -> Nullable<BigInt>,
        amr -> Json,
        family_salt -> Nullable<Binary>,
        generation -> BigInt,
        rotated_at -> Nullable<BigInt>,
        rotation_digest -> Nullable<Binary>,
        used_at -> BigInt,
        created_at -> BigInt,
        expires_at -> BigInt,
        revoked_at -> Nullable<BigInt>,
        access_until -> BigInt,
        requested_claims -> Nullable<Json>,
        acr -> Nullable<Text>,
        authorization_details -> Nullable<Json>,
        issuer -> Nullable<Text>,
        parent_id -> Nullable<Text>,
        chain -> Nullable<Json>,
        confirmation -> Nullable<Json>,
    }
}

diesel::table! {
    trusted_issuers (issuer) {
        issuer -> Text,
        policy -> Json,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    identity_links (issuer, subject) {
        issuer -> Text,
        subject -> Text,
        account_id -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    access_tokens (digest) {
        digest -> Binary,
        claims -> Json,
        client_id -> Text,
        account_id -> Nullable<Text>,
        grant_id -> Nullable<Text>,
        expires_at -> BigInt,
    }
}

diesel::table! {
    logout_notices (ended, client_id) {
        ended -> Text,
        client_id -> Text,
        account_id -> Text,
        created_at -> BigInt,
        due_at -> BigInt,
        tries -> BigInt,
    }
}

diesel::table! {
    refusals (request_id, id) {
        request_id -> Text,
        id -> Text,
        refused_at -> BigInt,
        method -> Text,
        route -> Text,
        status -> BigInt,
        error -> Nullable<Text>,
        causes -> Json,
        mend -> Nullable<Text>,
        client_id -> Nullable<Text>,
        grant_type -> Nullable<Text>,
        trace_id -> Nullable<Text>,
    }
}

diesel::table! {
    server_secrets (name) {
        name -> Text,
        sealed -> Binary,
        kek_id -> Text,
        created_at -> BigInt,
    }
}

diesel::joinable!(grants -> accounts (account_id));
diesel::joinable!(registrations -> clients (client_id));
diesel::joinable!(sessions -> accounts (account_id));
diesel::allow_tables_to_appear_in_same_query!(
    accounts,
    clients,
    consents,
    grants,
    logout_notices,
    registrations,
    revocations,
    sessions
);
