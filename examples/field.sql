-- The laptop's database in the README's tour: the same tables, other rows, and other numbers for the rows that both have.
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
    (1, 'dora@example.org', 'Dora Fenwick', 'Saltby'),
    (2, 'ada@example.org', 'Ada Lindqvist', 'Lindhaven');
INSERT INTO orders (number, customer_id, item, pieces) VALUES
    ('F-2001', 1, 'blanket', 30),
    ('F-2002', 2, 'water filter', 1);
