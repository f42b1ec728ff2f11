//! The tables of `migrations/api`, in the columns that SQLite and PostgreSQL share.

diesel::table! {
    people (id) {
        id -> Text,
        iss -> Text,
        sub -> Text,
        created_at -> BigInt,
        display_name -> Nullable<Text>,
    }
}
