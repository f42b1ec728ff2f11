//! Multi-tenant resource API that trusts only access tokens.
