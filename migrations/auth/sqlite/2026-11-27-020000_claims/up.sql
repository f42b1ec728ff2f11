-- What is known of a person beside name and address, each member named as its claim (OpenID Connect Core section 5.1).
ALTER TABLE accounts ADD COLUMN profile TEXT;
-- The claims that a client asked for one by one, and was allowed (OpenID Connect Core section 5.5).
ALTER TABLE grants ADD COLUMN requested_claims TEXT;
-- The claims that a person agreed to one by one, as a list of their names.
ALTER TABLE consents ADD COLUMN claims TEXT;
-- Whether people are the same to a resource server as to all others ("public"), or known to it alone ("pairwise").
ALTER TABLE resource_servers ADD COLUMN subject_type TEXT NOT NULL DEFAULT 'public';
