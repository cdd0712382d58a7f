//! decide(local, incoming, rules) → Decision: who wins, as a pure function (SYNC.md 4).
