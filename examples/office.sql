-- The office's database in the README's tour.
CREATE TABLE customers (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    town TEXT
);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    number TEXT NOT NULL UNIQUE,
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    item TEXT NOT NULL,
    pieces INTEGER NOT NULL CHECK (pieces > 0)
);
INSERT INTO customers (id, email, name, town) VALUES
    (1, 'ada@example.org', 'Ada Lindqvist', 'Lindhaven'),
    (2, 'ben@example.org', 'Ben Okafor', 'Eastmere'),
    (3, 'cleo@example.org', 'Cleo Marsh', NULL);
INSERT INTO orders (number, customer_id, item, pieces) VALUES
    ('O-1001', 1, 'water filter', 2),
    ('O-1002', 2, 'solar lamp', 12),
    ('O-1003', 1, 'tarpaulin', 4);
