DROP TABLE visit;
DROP TABLE guess;
