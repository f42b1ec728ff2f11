//! The tables of `migrations/auth`, in the columns that SQLite and PostgreSQL share.

#![expect(missing_docs, reason = "the columns speak for themselves")]

diesel::table! {
    clients (id) {
        id -> Text,
        metadata -> Json,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    client_secrets (client_id, digest) {
        client_id -> Text,
        digest -> Binary,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
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
    signing_keys (kid) {
        kid -> Text,
        alg -> Text,
        jwk -> Json,
        sealed -> Binary,
        kek_id -> Text,
        created_at -> BigInt,
        signs_from -> BigInt,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    revocations (kind, subject) {
        kind -> Text,
        subject -> Text,
        recorded_at -> BigInt,
        matters_until -> BigInt,
    }
}

diesel::table! {
    changes (kind, subject) {
        kind -> Text,
        subject -> Text,
        changed_at -> BigInt,
    }
}
