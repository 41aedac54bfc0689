#include "sqlscan_check.h"

static const struct row names_of_a_with_are_no_tables[] = {
    {"WITH a AS (SELECT * FROM b), c(x) AS NOT MATERIALIZED (SELECT * FROM a) SELECT * FROM c, pub.a", R, "b,a", "",
     ""},
    {"WITH RECURSIVE t AS (SELECT 1 AS n UNION SELECT n + 1 FROM t) SEARCH BREADTH FIRST BY n, m SET o CYCLE n, m SET "
     "c TO 1 DEFAULT 0 USING p, u AS (SELECT * FROM b) SELECT * FROM t, u",
     R, "b", "", ""},
    {"WITH d AS (DELETE FROM a RETURNING *) SELECT * FROM d", R | W | RET, "", "a", ""},
    {"WITH i AS (INSERT INTO a VALUES (1) RETURNING *), u AS MATERIALIZED (UPDATE b AS k SET x = 1 FROM i, c), d AS "
     "(DELETE FROM e USING f WHERE true) SELECT 1",
     R | W | RET, "c,f", "a,b,e", ""},
    {"WITH q AS (WITH p AS (SELECT * FROM c) DELETE FROM a USING p) INSERT INTO b SELECT * FROM d", W, "c,d", "a,b",
     ""},
    {"WITH m AS (MERGE INTO a USING b ON true WHEN MATCHED THEN DELETE RETURNING *) SELECT * FROM m", R | W | RET, "b",
     "a", ""},
    {"WITH a AS (SELECT * FROM a) DELETE FROM a", W, "a", "a", ""},
    {"SELECT * FROM (WITH a AS (SELECT 1) TABLE a) q, a", R, "a", "", ""},
    {"WITH \"A\" AS (SELECT 1) SELECT * FROM a", R, "", "", ""},
    {"WITH a AS (SELECT f() FROM b) VALUES (1)", R, "b", "", "f"},
};

static void test_names_of_a_with_are_no_tables(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_POSTGRESQL, names_of_a_with_are_no_tables);
}

static const struct row every_write_is_listed[] = {
    {"INSERT INTO t AS k (a, b[1], c.d) OVERRIDING SYSTEM VALUE VALUES (f(1), DEFAULT)", W, "", "t", "f"},
    {"INSERT INTO t (SELECT * FROM a)", W, "a", "t", ""},
    {"INSERT INTO t (a) (WITH q AS (SELECT * FROM a) SELECT * FROM q)", W, "a", "t", ""},
    {"INSERT INTO t WITH q AS (SELECT * FROM a) SELECT * FROM q, b ON CONFLICT ON CONSTRAINT c DO UPDATE SET (a, b) = "
     "(SELECT x, y FROM d), e = 1 WHERE t.z RETURNING *",
     W | RET, "a,b,d", "t", ""},
    {"INSERT INTO t OVERRIDING; DELETE FROM u", W, "", "t,u", ""},
    {"DELETE FROM t USING u, v RETURNING a, b", W | RET, "u,v", "t", ""},
    {"INSERT INTO t DEFAULT VALUES", W, "", "t", ""},
    {"UPDATE ONLY pub.t AS k SET a[1] = 2, b = DEFAULT, (c, d) = ROW (1, 2) FROM u, LATERAL f(u.x) v JOIN w ON true "
     "WHERE CURRENT OF cur",
     W, "u,w", "t", "f"},
    {"UPDATE t * SET a = 1", W, "", "t", ""},
    {"DELETE FROM ONLY t AS k USING u AS v, (SELECT * FROM w) x WHERE k.id = v.id RETURNING k.*", W | RET, "u,w", "t",
     ""},
    {"MERGE INTO t AS k USING (SELECT * FROM u) s ON k.id = s.id WHEN MATCHED AND f(s.x) THEN UPDATE SET a = s.a, b = "
     "2 WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN NOT MATCHED THEN INSERT (id, a) VALUES (s.id, g(1))",
     W, "u", "t", "f,g"},
    {"MERGE INTO t ON true", W | UNKNOWN, "", "t", ""},
    {"INSERT INTO t (a) OVERRIDING USER VALUE WITH q AS (SELECT 1) SELECT * FROM q", W, "", "t", ""},
    {"MERGE INTO ONLY t USING u, v ON true WHEN MATCHED THEN DO NOTHING", W, "u,v", "t", ""},
    {"TRUNCATE TABLE ONLY a, pub.b *, \"C\" RESTART IDENTITY", W, "", "a,b,c", ""},
    {"TRUNCATE a CASCADE", W | UNKNOWN, "", "a", ""},
    {"COPY t FROM STDIN", W | COPY_FROM, "", "t", ""},
    {"COPY pub.\"T\" (a, b) FROM STDIN WITH (FORMAT csv, FORCE_NULL (a)) WHERE f(a) > 1", W | COPY_FROM, "", "t", "f"},
    {"COPY BINARY t FROM '/x'", W | COPY_FROM, "", "t", ""},
    {"COPY t FROM PROGRAM 'x'", W | UNKNOWN | COPY_FROM, "", "t", ""},
    {"COPY t (a) TO STDOUT", R, "t", "", ""},
    {"COPY t TO PROGRAM 'x'", R | UNKNOWN, "t", "", ""},
    {"COPY (SELECT f(x) FROM a, b) TO STDOUT (FORMAT binary)", R, "a,b", "", "f"},
    {"COPY (WITH q AS (DELETE FROM a RETURNING *) SELECT * FROM q) TO STDOUT", R | W | RET, "", "a", ""},
    {"COPY (UPDATE a SET x = 1 RETURNING *) TO STDOUT", R | W | RET, "", "a", ""},
    {"REFRESH MATERIALIZED VIEW CONCURRENTLY pub.v WITH DATA", W, "", "v", ""},
    {"INSERT INTO pg_catalog.x VALUES (1)", W | UNKNOWN, "", "x", ""},
    {"UPDATE a23456789012345678901234567890123456789012345678901234567890123 SET x = 1", W, "",
     "a23456789012345678901234567890123456789012345678901234567890123", ""},
    {"UPDATE a234567890123456789012345678901234567890123456789012345678901234 SET x = 1", W | UNKNOWN, "",
     "a234567890123456789012345678901234567890123456789012345678901234", ""},
    {"SELECT 1; DELETE FROM t; SELECT 2", R | W, "", "t", ""},
    {"BEGIN; INSERT INTO t VALUES (1); COMMIT AND CHAIN;", W | BEGIN | COMMIT, "", "t", ""},
};

static void test_every_write_is_listed(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_POSTGRESQL, every_write_is_listed);
}

static const struct row transaction_control[] = {
    {"BEGIN WORK", BEGIN, "", "", ""},
    {"BEGIN ISOLATION LEVEL SERIALIZABLE", BEGIN | ISOLATION, "", "", ""},
    {"BEGIN TRANSACTION READ ONLY, DEFERRABLE", BEGIN | ISOLATION, "", "", ""},
    {"BEGIN NOT DEFERRABLE", BEGIN | ISOLATION, "", "", ""},
    {"START TRANSACTION", BEGIN, "", "", ""},
    {"START TRANSACTION READ WRITE", BEGIN | ISOLATION, "", "", ""},
    {"COMMIT WORK AND NO CHAIN", COMMIT, "", "", ""},
    {"END TRANSACTION AND CHAIN", BEGIN | COMMIT, "", "", ""},
    {"COMMIT PREPARED 'x'", COMMIT, "", "", ""},
    {"PREPARE TRANSACTION 'x'", COMMIT, "", "", ""},
    {"ABORT", ROLLBACK, "", "", ""},
    {"ROLLBACK AND CHAIN", BEGIN | ROLLBACK, "", "", ""},
    {"ROLLBACK PREPARED 'x'", ROLLBACK, "", "", ""},
    {"ROLLBACK WORK TO SAVEPOINT \"x\"", ROLLBACK_TO, "", "", ""},
    {"RELEASE x", RELEASE, "", "", ""},
    {"SAVEPOINT x", SAVEPOINT, "", "", ""},
    {"COMMIT AND", UNKNOWN | COMMIT, "", "", ""},
    {"BEGIN IMMEDIATE", UNKNOWN | BEGIN, "", "", ""},
};

static void test_transaction_control(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_POSTGRESQL, transaction_control);
}

static const struct row settings_by_what_they_change[] = {
    {"SET statement_timeout = 5000", HARMLESS, "", "", ""},
    {"SET LOCAL lock_timeout TO '5s'", HARMLESS, "", "", ""},
    {"SET SESSION application_name = 'x'", HARMLESS, "", "", ""},
    {"SET work_mem TO '64MB'; SET enable_seqscan = off; SET jit = off; SET client_min_messages TO warning", HARMLESS,
     "", "", ""},
    {"SET \"Statement_Timeout\" TO DEFAULT", HARMLESS, "", "", ""},
    {"SET app.read_timeout = 3", SESSION, "", "", ""},
    {"SET search_path TO a, \"b\", public", SESSION, "", "", ""},
    {"SET LOCAL search_path = x", SESSION, "", "", ""},
    {"SET TIME ZONE 'UTC'", SESSION, "", "", ""},
    {"SET ROLE x", SESSION, "", "", ""},
    {"SET SESSION AUTHORIZATION 'x'", SESSION, "", "", ""},
    {"SET DateStyle = 'ISO'", SESSION, "", "", ""},
    {"SET NAMES 'utf8'", SESSION, "", "", ""},
    {"SET synchronous_commit = off", SESSION, "", "", ""},
    {"SET x = (SELECT f())", UNKNOWN | SESSION, "", "", ""},
    {"SET = 1", UNKNOWN | SESSION, "", "", ""},
    {"RESET", UNKNOWN | SESSION, "", "", ""},
    {"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", ISOLATION, "", "", ""},
    {"SET TRANSACTION SNAPSHOT '000'", ISOLATION, "", "", ""},
    {"SET LOCAL TRANSACTION READ ONLY", ISOLATION, "", "", ""},
    {"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE", ISOLATION, "", "", ""},
    {"SET transaction_isolation = 'serializable'", ISOLATION, "", "", ""},
    {"SET SESSION default_transaction_isolation TO 'read committed'", ISOLATION, "", "", ""},
    {"RESET statement_timeout", HARMLESS, "", "", ""},
    {"RESET ALL", SESSION, "", "", ""},
    {"RESET search_path", SESSION, "", "", ""},
    {"RESET default_transaction_isolation", ISOLATION, "", "", ""},
    {"DISCARD ALL", SESSION, "", "", ""},
};

static void test_settings_by_what_they_change(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_POSTGRESQL, settings_by_what_they_change);
}

static const struct row definitions[] = {
    {"CREATE TEMP TABLE t (a varchar(10), b int DEFAULT f())", TEMP, "", "", ""},
    {"CREATE LOCAL TEMPORARY TABLE t ON COMMIT DROP AS SELECT f(x) FROM u", TEMP, "u", "", "f"},
    {"CREATE TEMP TABLE t AS WITH d AS (DELETE FROM a RETURNING *) SELECT * FROM d", W | TEMP | RET, "", "a", ""},
    {"CREATE TEMP TABLE t AS EXECUTE p (1)", UNKNOWN | TEMP, "", "", ""},
    {"CREATE TABLE pg_temp.t (a int)", TEMP, "", "", ""},
    {"CREATE OR REPLACE TEMP RECURSIVE VIEW v (n) AS SELECT 1", TEMP, "", "", ""},
    {"CREATE TEMP SEQUENCE s", DDL | TEMP, "", "", ""},
    {"CREATE UNLOGGED TABLE t AS SELECT 1", DDL, "", "", ""},
    {"CREATE MATERIALIZED VIEW v AS SELECT * FROM t", DDL, "", "", ""},
    {"CREATE UNIQUE INDEX CONCURRENTLY i ON t (x)", DDL, "", "", ""},
    {"CREATE FUNCTION f() RETURNS int AS $$ BEGIN DELETE FROM t; END $$ LANGUAGE plpgsql", DDL, "", "", ""},
    {"CREATE OR REPLACE PROCEDURE f(a int DEFAULT 1) LANGUAGE sql BEGIN ATOMIC SELECT 1; DELETE FROM t; SELECT CASE "
     "WHEN a THEN 1 END; END; DELETE FROM u",
     W | DDL, "", "u", ""},
    {"CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1", DDL | UNKNOWN, "", "", ""},
    {"CREATE FUNCTION f(begin atomic) RETURNS int AS 'x' LANGUAGE sql; DELETE FROM u", W | DDL, "", "u", ""},
    {"CREATE TABLE t (a; DELETE FROM u", DDL | UNKNOWN, "", "", ""},
    {"CREATE TABLE t a); DELETE FROM u", W | DDL | UNKNOWN, "", "u", ""},
    {"CREATE TABLE 5", DDL | UNKNOWN, "", "", ""},
    {"CREATE FUNCTION f() RETURNS int RETURN 1; DELETE FROM u", W | DDL, "", "u", ""},
    {"CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO a VALUES (1); DELETE FROM b); SELECT 1", R | DDL, "", "",
     ""},
    {"CREATE TRIGGER tr AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); DELETE FROM u", W | DDL, "", "u", ""},
    {"CREATE DATABASE d", DDL | DATABASE, "", "", ""},
    {"ALTER DATABASE d SET x = 1", DDL | DATABASE, "", "", ""},
    {"DROP DATABASE IF EXISTS d", DDL | DATABASE, "", "", ""},
    {"CREATE SCHEMA s", DDL, "", "", ""},
    {"COMMENT ON TABLE t IS 'x'", DDL, "", "", ""},
    {"GRANT SELECT ON t TO x", DDL, "", "", ""},
    {"REINDEX TABLE t; CLUSTER t; REVOKE ALL ON t FROM x", DDL, "", "", ""},
    {"SELECT x INTO u FROM t", DDL, "t", "", ""},
    {"SELECT x INTO TEMP TABLE u FROM t", TEMP, "t", "", ""},
    {"SELECT f(x) INTO pg_temp.u FROM t, v", TEMP, "t,v", "", "f"},
    {"SELECT x INTO temp FROM t", DDL | TEMP, "t", "", ""},
};

static void test_definitions(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_POSTGRESQL, definitions);
}

static const struct row other_statements[] = {
    {"EXPLAIN DELETE FROM t", R, "", "", ""},
    {"EXPLAIN (COSTS off) SELECT analyze FROM t", R, "", "", ""},
    {"EXPLAIN (SELECT (1)) UNION SELECT 2", R, "", "", ""},
    {"EXPLAIN (SELECT 1)", R, "", "", ""},
    {"EXPLAIN ANALYZE DELETE FROM t", R | W, "", "t", ""},
    {"EXPLAIN (BUFFERS, ANALYZE) UPDATE t SET x = f()", R | W, "", "t", "f"},
    {"EXPLAIN ANALYZE VERBOSE SELECT f(x) FROM t", R, "t", "", "f"},
    {"EXPLAIN ANALYZE EXECUTE p", R | UNKNOWN, "", "", ""},
    {"EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1", R | DDL, "", "", ""},
    {"PREPARE p AS SELECT 1", UNKNOWN, "", "", ""},
    {"EXECUTE p(1)", UNKNOWN, "", "", ""},
    {"DEALLOCATE ALL", HARMLESS, "", "", ""},
    {"CALL p()", UNKNOWN, "", "", ""},
    {"DO $$ BEGIN NULL; END $$", UNKNOWN, "", "", ""},
    {"LOCK TABLE t IN SHARE MODE", HARMLESS, "", "", ""},
    {"LISTEN x; NOTIFY x, 'y'; UNLISTEN *; CHECKPOINT", HARMLESS, "", "", ""},
    {"VACUUM (ANALYZE) t; ANALYZE t (a)", HARMLESS, "", "", ""},
    {"LOAD 'x'", UNKNOWN | SESSION, "", "", ""},
    {"DECLARE c BINARY INSENSITIVE CURSOR FOR WITH q AS (SELECT * FROM a) SELECT * FROM q FOR UPDATE", R | LOCKING, "a",
     "", ""},
    {"MOVE NEXT IN c", R, "", "", ""},
};

static void test_other_statements(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_POSTGRESQL, other_statements);
}

static const struct row what_is_not_understood_may_write_anything[] = {
    {"SELECT 'a", R | UNKNOWN, "", "", ""},
    {"SELECT $q$ a $r$", R | UNKNOWN, "", "", ""},
    {"SELECT 1 /* /* */", R | UNKNOWN, "", "", ""},
    {"SELECT 'a\\'', 1 FROM t", R | UNKNOWN, "", "", ""},
    {"SELECT 'a\\', 1 FROM t", R | UNKNOWN, "t", "", ""},
    {"SELECT * FROM U&\"d\\0061\"", R | UNKNOWN, "d\\0061", "", ""},
    {"SELECT '%s' FROM t", R | UNKNOWN, "t", "", ""},
    {"SELECT 1 /* %s */ FROM t", R | UNKNOWN, "t", "", ""},
    {"SELECT '%(name)s', E'%b' FROM t", R | UNKNOWN, "t", "", ""},
    {"SELECT $$%s$$ FROM t", R | UNKNOWN, "t", "", ""},
    {"SELECT 1 FROM t -- %s", R | UNKNOWN, "t", "", ""},
    {"SELECT * FROM \"a%s\"", R | UNKNOWN, "a%s", "", ""},
    {"SELECT * FROM a%s", R | UNKNOWN, "a", "", ""},
    {"SELECT $1a FROM t", R | UNKNOWN, "t", "", ""},
    {"SELECT $ FROM t", R | UNKNOWN, "t", "", ""},
    {"SELECT $1$a$ FROM t", R | UNKNOWN, "", "", ""},
    {"SELECT N'a\\', 1 FROM t", R | UNKNOWN, "t", "", ""},
    {"SELECT 5 %snow()", R | UNKNOWN, "", "", "now"},
    {"SELECT 5 %s(1)", R | UNKNOWN, "", "", ""},
    {"SELECT %s(1)", R | UNKNOWN, "", "", ""},
    {"SELECT delete FROM t", R | UNKNOWN, "t", "", ""},
    {"SELECT ((1) FROM t", R | UNKNOWN, "", "", ""},
    {"SELECT {x} FROM t", R | UNKNOWN, "t", "", ""},
    {"WITH RECURSIVE a AS (SELECT 1) CYCLE x SELECT 1", R | UNKNOWN, "", "", ""},
    {"WITH a AS SELECT 1", R | UNKNOWN, "", "", ""},
    {"REPLACE INTO t VALUES (1)", UNKNOWN, "", "", ""},
    {"DECLARE c", UNKNOWN, "", "", ""},
    {"COPY", UNKNOWN, "", "", ""},
    {"COPY t", W | UNKNOWN | COPY_FROM, "", "t", ""},
    {"COPY (SELECT 1)", R | UNKNOWN, "", "", ""},
    {"REFRESH", UNKNOWN, "", "", ""},
    {"XA COMMIT 'x'", UNKNOWN, "", "", ""},
    {"PRAGMA x", UNKNOWN, "", "", ""},
    {"BEGIN IMMEDIATE; SELECT 1", R | UNKNOWN | BEGIN, "", "", ""},
};

static void test_what_is_not_understood_may_write_anything(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_POSTGRESQL, what_is_not_understood_may_write_anything);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_of_a_with_are_no_tables),
        cmocka_unit_test(test_every_write_is_listed),
        cmocka_unit_test(test_transaction_control),
        cmocka_unit_test(test_settings_by_what_they_change),
        cmocka_unit_test(test_definitions),
        cmocka_unit_test(test_other_statements),
        cmocka_unit_test(test_what_is_not_understood_may_write_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
