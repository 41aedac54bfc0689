#include "sqlscan_check.h"

static const struct row statements_of_django[] = {
    {"SELECT \"t\".\"id\", \"t\".\"name\" FROM \"t\" WHERE \"t\".\"id\" = %s LIMIT 21", R, "t", "", ""},
    {"SELECT \"a\".\"x\", \"b\".\"y\" FROM \"a\" INNER JOIN \"b\" ON (\"a\".\"b_id\" = \"b\".\"id\") LEFT OUTER JOIN "
     "\"c\" T3 ON (T3.\"id\" = \"a\".\"c_id\") ORDER BY 1 ASC",
     R, "a,b,c", "", ""},
    {"SELECT COUNT(*) AS \"__count\" FROM \"t\"", R, "t", "", "count"},
    {"SELECT COUNT(*) FROM (SELECT DISTINCT \"t\".\"a\" AS \"col1\" FROM \"t\") subquery", R, "t", "", "count"},
    {"SELECT 1 AS \"a\" FROM \"t\" WHERE EXISTS(SELECT 1 AS \"a\" FROM \"u\" U0 WHERE U0.\"t_id\" = (\"t\".\"id\") "
     "LIMIT 1) LIMIT 1",
     R, "t,u", "", ""},
    {"SELECT DISTINCT django_date_trunc('year', \"t\".\"d\", NULL, NULL) AS \"datefield\" FROM \"t\" WHERE \"t\".\"d\" "
     "IS NOT NULL",
     R, "t", "", "django_date_trunc"},
    {"SELECT \"t\".\"id\" FROM \"t\" WHERE \"t\".\"name\" LIKE %s ESCAPE '\\'", R, "t", "", ""},
    {"SELECT \"t\".\"id\" FROM \"t\" WHERE \"t\".\"name\" REGEXP '(?i)' || %s", R, "t", "", ""},
    {"SELECT \"a\".\"x\" AS \"col1\" FROM \"a\" UNION ALL SELECT \"b\".\"x\" AS \"col1\" FROM \"b\" ORDER BY (1) ASC",
     R, "a,b", "", ""},
    {"SELECT \"t\".\"id\", ROW_NUMBER() OVER (PARTITION BY \"t\".\"a\" ORDER BY \"t\".\"b\") AS \"n\" FROM \"t\"", R,
     "t", "", "row_number"},
    {"SELECT \"t\".\"id\", CASE WHEN (\"t\".\"a\" = %s) THEN %s ELSE NULL END AS \"k\", COALESCE(\"t\".\"b\", %s) FROM "
     "\"t\"",
     R, "t", "", "coalesce"},
    {"SELECT CAST(\"t\".\"a\" AS NUMERIC(10, 2)), CAST(AVG(\"t\".\"b\") AS varchar(10)) FROM \"t\"", R, "t", "", "avg"},
    {"SELECT (SELECT U0.\"x\" FROM \"u\" U0 WHERE U0.\"id\" = (\"t\".\"id\") LIMIT 1) AS \"s\" FROM \"t\"", R, "u,t",
     "", ""},
    {"INSERT INTO \"t\" (\"a\", \"b\") VALUES (%s, %s) RETURNING \"t\".\"id\"", W | RET, "", "t", ""},
    {"INSERT INTO \"t\" (\"a\", \"b\") VALUES (%s, %s), (%s, %s)", W, "", "t", ""},
    {"INSERT OR IGNORE INTO \"t\" (\"a\") SELECT %s UNION ALL SELECT %s", W, "", "t", ""},
    {"INSERT INTO \"t\" (\"a\") VALUES (%s) ON CONFLICT(\"id\") DO UPDATE SET \"a\" = EXCLUDED.\"a\"", W, "", "t", ""},
    {"INSERT INTO \"new__t\" (\"id\", \"a\") SELECT \"id\", coalesce(\"a\", 'x') FROM \"t\"", W, "t", "new__t",
     "coalesce"},
    {"UPDATE \"t\" SET \"a\" = %s, \"b\" = (\"t\".\"b\" + %s) WHERE \"t\".\"id\" = %s", W, "", "t", ""},
    {"UPDATE \"t\" SET \"a\" = CASE WHEN (\"t\".\"id\" = %s) THEN %s WHEN (\"t\".\"id\" = %s) THEN %s ELSE NULL END "
     "WHERE \"t\".\"id\" IN (%s, %s)",
     W, "", "t", ""},
    {"DELETE FROM \"t\" WHERE \"t\".\"id\" IN (%s, %s)", W, "", "t", ""},
    {"DELETE FROM \"a\" WHERE \"a\".\"id\" IN (SELECT U0.\"id\" FROM \"a\" U0 INNER JOIN \"b\" U1 ON (U0.\"b_id\" = "
     "U1.\"id\") WHERE U1.\"x\" = %s)",
     W, "a,b", "a", ""},
    {"UPDATE \"sqlite_sequence\" SET \"seq\" = 0 WHERE \"name\" IN ('t', 'u')", W, "", "sqlite_sequence", ""},
    {"CREATE TABLE \"t\" (\"id\" integer NOT NULL PRIMARY KEY AUTOINCREMENT, \"n\" varchar(10) NOT NULL CHECK (\"n\" > "
     "'a'))",
     DDL, "", "", ""},
    {"CREATE INDEX \"t_n_idx\" ON \"t\" (\"n\")", DDL, "", "", ""},
    {"CREATE UNIQUE INDEX \"t_n\" ON \"t\" (\"n\") WHERE \"n\" > 3", DDL, "", "", ""},
    {"ALTER TABLE \"new__t\" RENAME TO \"t\"", DDL, "", "", ""},
    {"DROP TABLE \"t\"", DDL, "", "", ""},
    {"BEGIN", BEGIN, "", "", ""},
    {"SAVEPOINT \"s140_x1\"", SAVEPOINT, "", "", ""},
    {"RELEASE SAVEPOINT \"s140_x1\"", RELEASE, "", "", ""},
    {"ROLLBACK TO SAVEPOINT \"s140_x1\"", ROLLBACK_TO, "", "", ""},
    {"PRAGMA foreign_keys = OFF", HARMLESS, "", "", ""},
    {"PRAGMA foreign_key_check", R, "", "", ""},
    {"PRAGMA foreign_key_check(\"t\")", R, "", "", ""},
    {"PRAGMA table_xinfo(\"t\")", R, "", "", ""},
    {"PRAGMA index_list(\"t\")", R, "", "", ""},
    {"SELECT name, type FROM sqlite_master WHERE type in ('table', 'view') AND NOT name='sqlite_sequence' ORDER BY "
     "name",
     R | SYSTEM, "sqlite_master", "", ""},
    {"EXPLAIN QUERY PLAN SELECT * FROM \"t\"", R, "", "", ""},
    {"SELECT sqlite_version()", R, "", "", "sqlite_version"},
};

static void test_statements_of_django(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_SQLITE, statements_of_django);
}

static const struct row names_and_quotes[] = {
    {"SELECT * FROM [a b], `c``d`, \"e\"\"f\", 'g''h', i", R, "a b,c`d,e\"f,g'h,i", "", ""},
    {"SELECT * FROM Main.Users, \"MAIN\".\"Users\", aux.\"Éa\", été", R, "users,Éa,été", "", ""},
    {"SELECT \"from\", `select`, [where] FROM \"group\"", R, "group", "", ""},
    {"SELECT 'a;b', \"c;d\", [e;f], `g;h` FROM t", R, "t", "", ""},
    {"SELECT '-- x', '/* y', \"/*\" FROM t /* FROM u */ -- , v", R, "t", "", ""},
    {"SELECT*FROM/**/t--x", R, "t", "", ""},
    {"SELECT /*! a, */ '%s', 'x %(n)s' FROM t -- %s", R, "t", "", ""},
    {"SELECT/* ; DELETE FROM u */1", R, "", "", ""},
    {"DELETE/**/FROM/* x */t", W, "", "t", ""},
    {"dElEtE fRoM T", W, "", "t", ""},
    {"DELETE FROM \"\"", W, "", "", ""},
    {"INSERT INTO 't' VALUES (1)", W, "", "t", ""},
    {"INSERT INTO main . t ( a ) VALUES ( 1 )", W, "", "t", ""},
    {"SELECT x'00', X'41', 1e5, 1.5E-3, .5, 0xFF, 1 FROM t", R, "t", "", ""},
    {"SELECT ?, ?1, :a, @b, $c, %s, %(d)s FROM t WHERE x = ?2", R, "t", "", ""},
    {"SELECT ?FROM t", R, "t", "", ""},
    {"SELECT 10 %% 3, 10 % 3, x%y FROM t", R, "t", "", ""},
    {"SELECT * FROM t b'x', n'y', e'z'", R, "t,n,e", "", ""},
    {"SELECT a->'b', a->>'$.c' FROM t", R, "t", "", ""},
    {"SELECT * FROM t AS \"x\"\"y\", u 'w', v AS 'q'", R, "t,u,v", "", ""},
};

static void test_names_and_quotes(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_SQLITE, names_and_quotes);
}

static const struct row tables_are_found_wherever_they_stand[] = {
    {"SELECT * FROM a, b AS c, d e JOIN f USING (x) NATURAL JOIN g CROSS JOIN h", R, "a,b,d,f,g,h", "", ""},
    {"SELECT * FROM (a JOIN b), ((c)), (d AS e LEFT JOIN (SELECT * FROM f) g)", R, "a,b,c,d,f", "", ""},
    {"SELECT * FROM ((SELECT 1) UNION SELECT x FROM a), b", R, "a,b", "", ""},
    {"SELECT * FROM a INDEXED BY i, b NOT INDEXED JOIN c INDEXED BY j ON 1, d", R, "a,b,c,d", "", ""},
    {"SELECT * FROM json_each('[1]') AS j, t", R, "t", "", "json_each"},
    {"SELECT * FROM pragma_table_info('t')", R | SYSTEM, "", "", "pragma_table_info"},
    {"SELECT * FROM a window, b offset, c filter, d over", R, "a,b,c,d", "", ""},
    {"SELECT * FROM a with, b replace, c", R, "a,b,c", "", ""},
    {"SELECT * FROM lateral l, only o, set", R, "lateral,only,set", "", ""},
    {"SELECT * FROM a left JOIN b, c", R, "a,b,c", "", ""},
    {"SELECT x FROM a WHERE x IN b OR y NOT IN main.c OR z IN (SELECT 1 FROM d) OR w IN json_each('x')", R, "a,b,c,d",
     "", "json_each"},
    {"SELECT x FROM a WHERE x IN (1, 2) AND y IN ()", R, "a", "", ""},
    {"SELECT x IS DISTINCT FROM y, z IS NOT DISTINCT FROM w FROM t", R, "t", "", ""},
    {"SELECT (SELECT 1 FROM a), EXISTS (SELECT 1 FROM b), x IN (SELECT 1 FROM c)", R, "a,b,c", "", ""},
    {"SELECT * FROM (VALUES (1, 2), (3, 4)) AS v", R, "", "", ""},
    {"VALUES (1), (2)", R, "", "", ""},
    {"SELECT 1 LIMIT 2, 3", R, "", "", ""},
    {"SELECT * FROM a ORDER BY x, b LIMIT 3, c", R, "a", "", ""},
    {"SELECT x, count(*) FROM a GROUP BY x, y HAVING count(*) > 1 WINDOW w AS (ORDER BY z), v AS (w)", R, "a", "",
     "count"},
    {"SELECT x FROM a WINDOW w AS (ORDER BY y), v AS (w)", R, "a", "", ""},
    {"SELECT a.b.c, d.* FROM a", R, "a", "", ""},
    {"SELECT current_date, CURRENT_TIMESTAMP, t.current_time FROM t", R, "t", "", "current_date,current_timestamp"},
    {"SELECT \"count\"(x), main.f(1), like(x, y), x LIKE (y), x NOT LIKE (y), glob(x, y), x GLOB ('a*'), x MATCH ('q')",
     R, "", "", "count,f,like,glob"},
    {"SELECT replace(a, b, c), (replace(a, b, c)), max(a) FILTER (WHERE a > 1) OVER (ORDER BY b) FROM t", R, "t", "",
     "replace,max"},
    {"SELECT NOT (x), x AND (y), x BETWEEN (1) AND (2), CASE (x) WHEN (1) THEN (2) ELSE (3) END, x COLLATE nocase FROM "
     "t",
     R, "t", "", ""},
};

static void test_tables_are_found_wherever_they_stand(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_SQLITE, tables_are_found_wherever_they_stand);
}

static const struct row names_of_a_with_are_no_tables[] = {
    {"WITH a AS (SELECT * FROM b) SELECT * FROM a, c", R, "b,c", "", ""},
    {"WITH a(x, y) AS (SELECT * FROM b), d AS MATERIALIZED (SELECT * FROM a), e AS NOT MATERIALIZED (SELECT 1) SELECT "
     "* FROM d, e",
     R, "b", "", ""},
    {"WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 9) SELECT * FROM n", R, "", "", ""},
    {"WITH a AS (SELECT * FROM a) SELECT * FROM main.a", R, "a", "", ""},
    {"SELECT * FROM (WITH a AS (SELECT 1) SELECT * FROM a), a", R, "a", "", ""},
    {"SELECT (WITH a AS (SELECT 1) SELECT * FROM a), x FROM a", R, "a", "", ""},
    {"WITH a SELECT 1", R | UNKNOWN, "", "", ""},
    {"WITH ? AS (SELECT 1) SELECT 2 FROM b", R | UNKNOWN, "b", "", ""},
    {"WITH a AS (SELECT * FROM b) INSERT INTO c SELECT * FROM a", W, "b", "c", ""},
    {"WITH a AS (SELECT * FROM b) REPLACE INTO c SELECT * FROM a", W, "b", "c", ""},
    {"WITH a AS (SELECT * FROM b) UPDATE c SET x = (SELECT 1 FROM a)", W, "b", "c", ""},
    {"WITH a AS (SELECT * FROM b) DELETE FROM c WHERE id IN a", W, "b", "c", ""},
    {"INSERT INTO c WITH a AS (SELECT * FROM b) SELECT * FROM a, d", W, "b,d", "c", ""},
};

static void test_names_of_a_with_are_no_tables(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_SQLITE, names_of_a_with_are_no_tables);
}

static const struct row every_write_is_listed[] = {
    {"INSERT OR REPLACE INTO t DEFAULT VALUES", W, "", "t", ""},
    {"REPLACE INTO t (a) VALUES (1)", W, "", "t", ""},
    {"INSERT INTO t AS k (a) VALUES (f(1)) ON CONFLICT (lower(a)) WHERE a > 1 DO NOTHING", W, "", "t", "f,lower"},
    {"INSERT INTO t SELECT * FROM a, b WHERE true ON CONFLICT (id) DO UPDATE SET x = 1, y = (SELECT max(z) FROM c), w "
     "= 2 WHERE k > 1 RETURNING id, x",
     W | RET, "a,b,c", "t", "max"},
    {"INSERT INTO sqlite_master VALUES (1)", W | UNKNOWN, "", "sqlite_master", ""},
    {"UPDATE OR REPLACE main.t AS k INDEXED BY i SET a = 1, (b, c) = (1, 2) FROM u, v JOIN w ON 1 WHERE k.id = u.id "
     "RETURNING *",
     W | RET, "u,v,w", "t", ""},
    {"UPDATE t SET a = replace(b, 'x', 'y') ORDER BY a, b LIMIT 3", W, "", "t", "replace"},
    {"UPDATE ignore SET low_priority = 1", W, "", "ignore", ""},
    {"UPDATE t SET a = 1 FROM u, v RETURNING a, b", W | RET, "u,v", "t", ""},
    {"DELETE FROM t AS k NOT INDEXED WHERE x = 1 RETURNING id", W | RET, "", "t", ""},
    {"UPDATE t SET from_ = 1 WHERE x IN u", W, "u", "t", ""},
};

static void test_every_write_is_listed(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_SQLITE, every_write_is_listed);
}

static const struct row several_statements_and_none[] = {
    {"; ;", HARMLESS, "", "", ""},
    {" ", HARMLESS, "", "", ""},
    {"/* only */ -- a comment", HARMLESS, "", "", ""},
    {"SELECT 1; DELETE FROM t", R | W, "", "t", ""},
    {"SELECT 1; SELECT 2;", R, "", "", ""},
    {"BEGIN; UPDATE t SET a = 1; COMMIT;", W | BEGIN | COMMIT, "", "t", ""},
    {"WITH a AS (SELECT 1) SELECT 2; SELECT * FROM a", R, "a", "", ""},
    {"SELECT ';'; INSERT INTO t VALUES (';')", R | W, "", "t", ""},
};

static void test_several_statements_and_none(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_SQLITE, several_statements_and_none);
}

static const struct row transaction_control[] = {
    {"BEGIN DEFERRED", BEGIN, "", "", ""},
    {"BEGIN TRANSACTION", BEGIN, "", "", ""},
    {"BEGIN IMMEDIATE", BEGIN | IMMEDIATE, "", "", ""},
    {"begin exclusive transaction x;", BEGIN | IMMEDIATE, "", "", ""},
    {"BEGIN CONCURRENT", UNKNOWN | BEGIN, "", "", ""},
    {"COMMIT TRANSACTION", COMMIT, "", "", ""},
    {"END", COMMIT, "", "", ""},
    {"END TRANSACTION x", COMMIT, "", "", ""},
    {"ROLLBACK", ROLLBACK, "", "", ""},
    {"ROLLBACK TRANSACTION", ROLLBACK, "", "", ""},
    {"ROLLBACK TRANSACTION y TO x", ROLLBACK_TO, "", "", ""},
    {"ROLLBACK TO x", ROLLBACK_TO, "", "", ""},
    {"RELEASE x", RELEASE, "", "", ""},
    {"SAVEPOINT", UNKNOWN | SAVEPOINT, "", "", ""},
    {"START TRANSACTION", UNKNOWN, "", "", ""},
    {"SAVEPOINT a SELECT 1", UNKNOWN | SAVEPOINT, "", "", ""},
    {"SAVEPOINT a b", UNKNOWN | SAVEPOINT, "", "", ""},
};

static void test_transaction_control(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_SQLITE, transaction_control);
}

static const struct row settings_by_what_they_change[] = {
    {"PRAGMA journal_mode=WAL", HARMLESS, "", "", ""},
    {"PRAGMA main.synchronous = 1", HARMLESS, "", "", ""},
    {"PRAGMA busy_timeout(5000)", HARMLESS, "", "", ""},
    {"PRAGMA cache_size = -2000", HARMLESS, "", "", ""},
    {"PRAGMA \"mmap_size\" = 1000", HARMLESS, "", "", ""},
    {"PRAGMA wal_checkpoint(TRUNCATE)", HARMLESS, "", "", ""},
    {"PRAGMA optimize", HARMLESS, "", "", ""},
    {"PRAGMA defer_foreign_keys = ON", HARMLESS, "", "", ""},
    {"PRAGMA user_version", R, "", "", ""},
    {"PRAGMA user_version = 3", UNKNOWN | SESSION, "", "", ""},
    {"PRAGMA compile_options", R, "", "", ""},
    {"PRAGMA read_uncommitted", R, "", "", ""},
    {"PRAGMA read_uncommitted = 1", SESSION | ISOLATION, "", "", ""},
    {"PRAGMA writable_schema = ON", UNKNOWN | SESSION, "", "", ""},
    {"PRAGMA case_sensitive_like = 1", UNKNOWN | SESSION, "", "", ""},
    {"PRAGMA key('x')", UNKNOWN | SESSION, "", "", ""},
    {"PRAGMA nobody_knows", UNKNOWN | SESSION, "", "", ""},
    {"PRAGMA user_version x", R | UNKNOWN, "", "", ""},
    {"PRAGMA", UNKNOWN, "", "", ""},
    {"PRAGMA foreign_keys = OFF; DELETE FROM t", W | HARMLESS, "", "t", ""},
    {"EXPLAIN PRAGMA writable_schema = 1", R | UNKNOWN | SESSION, "", "", ""},
    {"ATTACH DATABASE 'x.db' AS y", ATTACH, "", "", ""},
    {"DETACH y", ATTACH, "", "", ""},
    {"SET x = 1", UNKNOWN, "", "", ""},
};

static void test_settings_by_what_they_change(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_SQLITE, settings_by_what_they_change);
}

static const struct row definitions[] = {
    {"CREATE TEMP TABLE t (a varchar(10))", TEMP, "", "", ""},
    {"CREATE TEMPORARY TABLE IF NOT EXISTS t AS SELECT f(x) FROM u", TEMP, "u", "", "f"},
    {"CREATE TABLE temp.t (a)", TEMP, "", "", ""},
    {"CREATE TEMP VIEW v AS WITH a AS (SELECT 1) SELECT * FROM a, b", TEMP, "b", "", ""},
    {"CREATE VIEW v AS SELECT * FROM t", DDL, "", "", ""},
    {"CREATE VIRTUAL TABLE t USING fts5(a, b)", DDL, "", "", ""},
    {"CREATE VIRTUAL TABLE temp.t USING fts5(a)", TEMP, "", "", ""},
    {"CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO a VALUES (new.x); DELETE FROM b WHERE id IN (SELECT id "
     "FROM c); END",
     DDL, "c", "a,b", ""},
    {"CREATE TRIGGER IF NOT EXISTS main.\"begin\" BEFORE UPDATE OF x, y ON t FOR EACH ROW WHEN new.x > (1) BEGIN "
     "UPDATE a SET x = CASE WHEN new.x THEN 1 ELSE 2 END; SELECT RAISE(ABORT, 'no'); END; DELETE FROM z",
     W | DDL, "", "a,z", ""},
    {"CREATE TEMP TRIGGER tr INSERT ON t BEGIN DELETE FROM b; END;", DDL | TEMP, "", "b", ""},
    {"CREATE TRIGGER IF NOT EXISTS temp.tr INSERT ON t BEGIN REPLACE INTO b VALUES (1); END", DDL | TEMP, "", "b", ""},
    {"CREATE TABLE IF NOT EXISTS temp.t (a)", TEMP, "", "", ""},
    {"CREATE TRIGGER tr INSERT ON t WHEN (begin > 1) BEGIN DELETE FROM b; END; DELETE FROM z", W | DDL, "", "b,z", ""},
    {"CREATE TRIGGER tr INSERT ON t BEGIN DELETE FROM b; SAVEPOINT x; END", DDL | UNKNOWN, "", "b", ""},
    {"CREATE TRIGGER tr INSERT ON t BEGIN DELETE FROM b ); END; DELETE FROM z", W | DDL | UNKNOWN, "", "b,z", ""},
    {"CREATE TRIGGER tr INSERT ON t BEGIN PRAGMA x; END", DDL | UNKNOWN, "", "", ""},
    {"CREATE TRIGGER tr INSERT ON t BEGIN DELETE FROM b;", DDL | UNKNOWN, "", "b", ""},
    {"CREATE TRIGGER tr INSERT ON t", DDL | UNKNOWN, "", "", ""},
    {"ALTER TABLE t DROP COLUMN a", DDL, "", "", ""},
    {"DROP VIEW IF EXISTS v; SELECT 1", R | DDL, "", "", ""},
    {"REINDEX t", DDL, "", "", ""},
    {"ANALYZE", HARMLESS, "", "", ""},
    {"VACUUM INTO 'x'", HARMLESS, "", "", ""},
    {"EXPLAIN DELETE FROM t", R, "", "", ""},
};

static void test_definitions(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_SQLITE, definitions);
}

static const struct row what_is_not_understood_may_write_anything[] = {
    {"SELECT 'abc", R | UNKNOWN, "", "", ""},
    {"SELECT \"abc FROM t", R | UNKNOWN, "", "", ""},
    {"SELECT 1 /* x", R | UNKNOWN, "", "", ""},
    {"SELECT * FROM (a JOIN b WHERE x", R | UNKNOWN, "a,b", "", ""},
    {"SELECT * FROM a AS ?, b", R | UNKNOWN, "a,b", "", ""},
    {"SELECT * FROM (SELECT 1 FROM a", R | UNKNOWN, "a", "", ""},
    {"SELECT (1 FROM t", R | UNKNOWN, "", "", ""},
    {"SELECT 1) FROM t", R | UNKNOWN, "", "", ""},
    {"DELETE t", W | UNKNOWN, "", "", ""},
    {"UPDATE t WHERE x", W | UNKNOWN, "", "t", ""},
    {"DELETE a FROM b", W | UNKNOWN, "", "", ""},
    {"DELETE FROM a.?", W | UNKNOWN, "", "", ""},
    {"SELECT :a::b FROM t", R | UNKNOWN, "t", "", ""},
    {"DELETE FROM ﻿t", W | UNKNOWN, "", "﻿t", ""},
    {"DELETE FROM %s", W | UNKNOWN, "", "", ""},
    {"UPDATE ? SET a = 1", W | UNKNOWN, "", "", ""},
    {"UPDATE t%s SET a = 1", W | UNKNOWN, "", "t", ""},
    {"INSERT t VALUES (1)", W | UNKNOWN, "", "t", ""},
    {"SELECT * FROM ?", R | UNKNOWN, "", "", ""},
    {"FOO BAR", UNKNOWN, "", "", ""},
    {"%s", UNKNOWN, "", "", ""},
    {"SELECT AddGeometryColumn('t', 'g', 4326, 'POINT', 2)", R | UNKNOWN, "", "", "addgeometrycolumn"},
    {"SELECT \"eval\"('DELETE FROM t'), evaluate(1)", R | UNKNOWN, "", "", "eval,evaluate"},
    {"SELECT load_extension('x')", R | UNKNOWN, "", "", "load_extension"},
    {"SELECT 1FROM t", R | UNKNOWN, "t", "", ""},
    {"SELECT :a(1), $b::c FROM t", R | UNKNOWN, "t", "", ""},
    {"SELECT 5 %(a + b)s FROM t", R | UNKNOWN, "t", "", ""},
    {"SELECT update FROM t", R | UNKNOWN, "t", "", ""},
    {"(DELETE FROM t)", R | UNKNOWN, "", "", ""},
    {"MERGE INTO t USING u ON 1", W | UNKNOWN, "u", "t", ""},
    {"TRUNCATE t", UNKNOWN, "", "", ""},
    {"COPY t FROM STDIN", UNKNOWN, "", "", ""},
    {"SHOW x", UNKNOWN, "", "", ""},
    {"SELECT 1 INTO t", R | UNKNOWN, "", "", ""},
};

static void test_what_is_not_understood_may_write_anything(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_SQLITE, what_is_not_understood_may_write_anything);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statements_of_django),
        cmocka_unit_test(test_names_and_quotes),
        cmocka_unit_test(test_tables_are_found_wherever_they_stand),
        cmocka_unit_test(test_names_of_a_with_are_no_tables),
        cmocka_unit_test(test_every_write_is_listed),
        cmocka_unit_test(test_several_statements_and_none),
        cmocka_unit_test(test_transaction_control),
        cmocka_unit_test(test_settings_by_what_they_change),
        cmocka_unit_test(test_definitions),
        cmocka_unit_test(test_what_is_not_understood_may_write_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
