-- Tokens for programs that call the REST API, as SHA-256 hashes. One without an account was made on the command line for the site itself.
CREATE TABLE api_token (
    digest BLOB PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    account TEXT REFERENCES account (name) ON DELETE CASCADE,
    scope TEXT NOT NULL,
    created_on INTEGER NOT NULL,
    expires_on INTEGER
) STRICT;
