-- Tokens for programs that call the REST API, as SHA-256 hashes. One without an account was made on the command line for the site itself.
CREATE TABLE api_token (
    digest BYTEA PRIMARY KEY NOT NULL,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    account TEXT COLLATE "C" REFERENCES account (name) ON DELETE CASCADE,
    scope TEXT NOT NULL,
    created_on BIGINT NOT NULL,
    expires_on BIGINT
);
