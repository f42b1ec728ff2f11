CREATE TABLE parents (id BIGINT PRIMARY KEY);
CREATE TABLE children (parent_id BIGINT REFERENCES parents (id));
INSERT INTO children VALUES (1);
