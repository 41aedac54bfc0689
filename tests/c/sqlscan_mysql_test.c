#include "sqlscan_check.h"

static const struct row statements_of_django[] = {
    {"SELECT `t`.`id` FROM `t` WHERE `t`.`name` LIKE %s LIMIT 21", R, "t", "", ""},
    {"SELECT `a`.`x` FROM `a` INNER JOIN `b` ON (`a`.`b_id` = `b`.`id`) WHERE `a`.`n` REGEXP BINARY %s FOR UPDATE OF "
     "`a` SKIP LOCKED",
     R | LOCKING, "a,b", "", ""},
    {"SELECT CAST(DATE_FORMAT(CONVERT_TZ(`t`.`d`, 'UTC', %s), '%%Y-%%m-01') AS DATE) AS `d` FROM `t`", R, "t", "",
     "date_format,convert_tz"},
    {"INSERT INTO `t` (`a`, `b`) VALUES (%s, %s), (%s, %s)", W, "", "t", ""},
    {"INSERT IGNORE INTO `t` (`a`) VALUES (%s)", W, "", "t", ""},
    {"INSERT INTO `t` (`a`) VALUES (%s) AS new ON DUPLICATE KEY UPDATE `a` = new.`a`, `b` = VALUES(`b`)", W, "", "t",
     ""},
    {"INSERT INTO `t` (`a`) VALUES (%s) RETURNING `t`.`id`", W | RET, "", "t", ""},
    {"UPDATE `t` SET `a` = %s WHERE `t`.`id` IN (%s, %s)", W, "", "t", ""},
    {"DELETE FROM `t` WHERE `t`.`id` IN (%s)", W, "", "t", ""},
    {"DELETE `a` FROM `a` INNER JOIN `b` ON (`a`.`b_id` = `b`.`id`) WHERE `b`.`x` = %s", W, "a,b", "a,b", ""},
    {"SET FOREIGN_KEY_CHECKS = 0", HARMLESS, "", "", ""},
    {"SET foreign_key_checks=0; TRUNCATE `t`; SET foreign_key_checks=1", W | DDL | COMMIT | HARMLESS, "", "t", ""},
    {"SET SQL_AUTO_IS_NULL = 0", HARMLESS, "", "", ""},
    {"SET SQL_AUTO_IS_NULL = 0; SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;", HARMLESS | ISOLATION, "", "",
     ""},
    {"SHOW FULL TABLES", R, "", "", ""},
    {"SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE()", R | SYSTEM, "columns", "",
     "database"},
    {"SELECT VERSION(), @@sql_mode, @@default_storage_engine, CONVERT_TZ('2001-01-01 01:00:00', 'UTC', 'UTC') IS NOT "
     "NULL",
     R | SYSTEM, "", "", "version,convert_tz"},
    {"CREATE TABLE `t` (`id` bigint AUTO_INCREMENT NOT NULL PRIMARY KEY, `n` varchar(10) NOT NULL)", DDL | COMMIT, "",
     "", ""},
    {"SAVEPOINT `s1`; RELEASE SAVEPOINT `s1`; ROLLBACK TO SAVEPOINT `s1`", SAVEPOINT | RELEASE | ROLLBACK_TO, "", "",
     ""},
};

static void test_statements_of_django(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_MYSQL, statements_of_django);
}

static const struct row names_strings_and_comments[] = {
    {"SELECT `a``b`, \"x;y\", 'it''s', \"say \"\"x\"\"\", 'a\\\\' FROM `T` # , u", R, "t", "", ""},
    {"SELECT 1 -- x\nFROM t", R, "t", "", ""},
    {"SELECT 1--2 FROM t", R, "t", "", ""},
    {"SELECT 1 --\tx\nFROM t-- ", R, "t", "", ""},
    {"SELECT /*+ SET_VAR(x = 1) */ a /* /* b */ FROM t", R, "t", "", ""},
    {"SELECT N'x', _utf8mb4'y', x'00', b'1', 0xFF, 1.5e3, ?, $a FROM db.t", R, "t", "", ""},
    {"SELECT * FROM $x, t$1, ünï", R, "$x,t$1,ünï", "", ""},
    {"SELECT @a, @`b c`, @'d e', @\"f, g\", @@session.e FROM t", R | SYSTEM, "t", "", ""},
    {"SELECT @a := f(1) FROM t", R | SYSTEM, "t", "", "f"},
};

static void test_names_strings_and_comments(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_MYSQL, names_strings_and_comments);
}

static const struct row tables_are_found_wherever_they_stand[] = {
    {"SELECT * FROM a x USE INDEX (i, j), b FORCE INDEX FOR JOIN (k) IGNORE KEY (l) JOIN c, d PARTITION (p0) AS y", R,
     "a,b,c,d", "", ""},
    {"SELECT * FROM a USE INDEX (i), IGNORE INDEX (j), b", R, "a,b", "", ""},
    {"SELECT STRAIGHT_JOIN * FROM a STRAIGHT_JOIN b ON 1 LEFT JOIN (c, d) ON 1, LATERAL (SELECT 1 FROM e) f", R,
     "a,b,c,d,e", "", ""},
    {"SELECT 1 FROM DUAL", R, "", "", ""},
    {"SELECT 1 FROM `dual`, db.dual", R, "dual", "", ""},
    {"SELECT * FROM JSON_TABLE('[]', '$[*]' COLUMNS (a INT PATH '$.a')) AS j, t", R, "t", "", "json_table,columns"},
    {"TABLE a UNION TABLE b", R, "a,b", "", ""},
    {"VALUES ROW(1, 2), ROW(3, 4)", R, "", "", ""},
    {"(SELECT 1 FROM a) UNION (SELECT 2 FROM b) LIMIT 1, 2", R, "a,b", "", ""},
    {"SELECT a FROM t INTO @x, @y", R | SYSTEM, "t", "", ""},
    {"SELECT a INTO @x FROM t", R | SYSTEM, "t", "", ""},
    {"SELECT a FROM t, u INTO OUTFILE '/x'", R, "t,u", "", ""},
    {"SELECT * FROM t LOCK IN SHARE MODE", R | LOCKING, "t", "", ""},
    {"SELECT a FROM t WHERE MATCH (a, b) AGAINST ('x' IN BOOLEAN MODE) AND x = ANY (SELECT 1 FROM u) AND INSERT('a', "
     "1, 1, f(2))",
     R, "t,u", "", "insert,f"},
    {"SELECT a FROM t GROUP BY a, b WITH ROLLUP HAVING x DIV (2) XOR (y) ORDER BY (c), d", R, "t", "", "div"},
    {"SELECT CONVERT(a USING utf8mb4), LEFT(a, 1), IF(a, b, c), utc_date, CURRENT_USER, DATE(a), INTERVAL(1, 2), NOW() "
     "- INTERVAL 1 DAY, VALUES(a), DEFAULT(b), MOD(a, 2) FROM t",
     R, "t", "", "convert,left,if,utc_date,current_user,date,interval,now,mod"},
    {"SELECT GROUP_CONCAT(DISTINCT a ORDER BY b SEPARATOR ',') FROM t", R, "t", "", "group_concat"},
    {"WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT * FROM c, t", R, "t", "", ""},
    {"SELECT * FROM mysql.user", R | SYSTEM, "user", "", ""},
};

static void test_tables_are_found_wherever_they_stand(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_MYSQL, tables_are_found_wherever_they_stand);
}

static const struct row every_write_is_listed[] = {
    {"INSERT LOW_PRIORITY t SET a = 1, b = f(2) ON DUPLICATE KEY UPDATE a = 2, c = 3", W, "", "t", "f"},
    {"INSERT INTO t PARTITION (p0) (a) SELECT * FROM u, v ON DUPLICATE KEY UPDATE a = 1, b = 2", W, "u,v", "t", ""},
    {"INSERT INTO t () VALUE ()", W, "", "t", ""},
    {"REPLACE DELAYED t VALUES (1)", W, "", "t", ""},
    {"REPLACE INTO t SELECT * FROM u", W, "u", "t", ""},
    {"UPDATE LOW_PRIORITY IGNORE a SET x = 1 ORDER BY y LIMIT 1", W, "", "a", ""},
    {"UPDATE a, b AS c JOIN d ON a.x = c.x SET a.y = c.y, d.z = (SELECT max(q) FROM e) WHERE a.id = 1", W, "b,d,e",
     "a,b,d", "max"},
    {"UPDATE (a JOIN b ON 1) SET a.x = 1", W, "b", "a,b", ""},
    {"WITH c AS (SELECT * FROM e) UPDATE a JOIN c ON 1 SET a.x = 1", W, "e", "a,c", ""},
    {"DELETE QUICK FROM t PARTITION (p) WHERE x = 1 ORDER BY y, z LIMIT 1", W, "", "t", ""},
    {"DELETE x, db.y.* FROM a AS x LEFT JOIN b y ON 1, c", W, "a,b,c", "a,b,c", ""},
    {"DELETE FROM x.*, y USING a x, b AS y JOIN c ON 1 WHERE 1", W, "a,b,c", "x,y,a,b,c", ""},
    {"LOAD DATA LOCAL INFILE '/x' REPLACE INTO TABLE db.t CHARACTER SET utf8 FIELDS TERMINATED BY ',' (a, @b) SET c = "
     "f(@b), d = 1",
     W | SYSTEM, "", "t", "f"},
    {"LOAD XML INFILE '/x' INTO TABLE t", W, "", "t", ""},
    {"TRUNCATE TABLE t", W | DDL | COMMIT, "", "t", ""},
    {"WITH c AS (SELECT 1) DELETE FROM t WHERE x IN (SELECT * FROM c)", W, "", "t", ""},
};

static void test_every_write_is_listed(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_MYSQL, every_write_is_listed);
}

static const struct row transaction_control[] = {
    {"BEGIN", BEGIN, "", "", ""},
    {"BEGIN WORK", BEGIN, "", "", ""},
    {"BEGIN NOT ATOMIC DELETE FROM t; END", UNKNOWN | BEGIN | COMMIT, "", "", ""},
    {"START TRANSACTION", BEGIN, "", "", ""},
    {"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", BEGIN | ISOLATION, "", "", ""},
    {"COMMIT AND CHAIN RELEASE", BEGIN | COMMIT, "", "", ""},
    {"COMMIT NO RELEASE", COMMIT, "", "", ""},
    {"ROLLBACK WORK TO SAVEPOINT x", ROLLBACK_TO, "", "", ""},
    {"XA START 'x'", BEGIN, "", "", ""},
    {"XA END 'x'", HARMLESS, "", "", ""},
    {"XA PREPARE 'x'", COMMIT, "", "", ""},
    {"XA COMMIT 'x' ONE PHASE", COMMIT, "", "", ""},
    {"XA ROLLBACK 'x'", ROLLBACK, "", "", ""},
    {"XA RECOVER", R, "", "", ""},
    {"LOCK TABLES t READ", COMMIT, "", "", ""},
    {"UNLOCK TABLES", COMMIT, "", "", ""},
    {"FLUSH TABLES WITH READ LOCK", COMMIT, "", "", ""},
};

static void test_transaction_control(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_MYSQL, transaction_control);
}

static const struct row settings_by_what_they_change[] = {
    {"SET autocommit = 0", COMMIT, "", "", ""},
    {"SET @@session.autocommit := 1", COMMIT | SYSTEM, "", "", ""},
    {"SET SESSION lock_wait_timeout = 5, max_statement_time = 3", HARMLESS, "", "", ""},
    {"SET innodb_lock_wait_timeout = 5, sql_mode = 'ANSI'", HARMLESS | SESSION, "", "", ""},
    {"SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE", ISOLATION, "", "", ""},
    {"SET tx_isolation = 'SERIALIZABLE'", ISOLATION, "", "", ""},
    {"SET NAMES utf8mb4", SESSION, "", "", ""},
    {"SET @@session.`autocommit` = 1", COMMIT | SESSION | SYSTEM, "", "", ""},
    {"SET `autocommit` = 1", COMMIT, "", "", ""},
    {"SET PASSWORD = ''", COMMIT | SESSION, "", "", ""},
    {"SET PASSWORD FOR u@h = PASSWORD('x')", COMMIT | SESSION | SYSTEM, "", "", "password"},
    {"SET DEFAULT ROLE r", COMMIT | SESSION, "", "", ""},
    {"SET ROLE r", SESSION, "", "", ""},
    {"SET CHARACTER SET 'utf8'", SESSION, "", "", ""},
    {"SET time_zone = '+00:00'", SESSION, "", "", ""},
    {"SET sql_auto_is_null = 1", SESSION, "", "", ""},
    {"SET @x = (SELECT max(a) FROM t), y = f(1)", SESSION | SYSTEM, "t", "", "max,f"},
    {"SET STATEMENT max_statement_time = 1 FOR DELETE FROM t", UNKNOWN | SESSION, "", "", ""},
    {"SET @x = 1", SESSION | SYSTEM, "", "", ""},
    {"RESET QUERY CACHE", UNKNOWN, "", "", ""},
    {"USE db", SESSION, "", "", ""},
};

static void test_settings_by_what_they_change(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_MYSQL, settings_by_what_they_change);
}

static const struct row definitions_and_other_statements[] = {
    {"CREATE TEMPORARY TABLE t SELECT f(x) FROM a", TEMP, "a", "", "f"},
    {"CREATE TEMPORARY TABLE t (a int) AS SELECT * FROM b", TEMP, "b", "", ""},
    {"CREATE TEMPORARY TABLE t LIKE u", TEMP, "", "", ""},
    {"CREATE OR REPLACE TEMPORARY TABLE t (SELECT * FROM a)", TEMP, "a", "", ""},
    {"DROP TEMPORARY TABLE t", TEMP, "", "", ""},
    {"CREATE DEFINER = `x`@`y` TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN DELETE FROM b; END",
     DDL | UNKNOWN | COMMIT | SYSTEM, "", "", ""},
    {"CREATE PROCEDURE p() BEGIN END; SELECT 1", DDL | UNKNOWN | COMMIT, "", "", ""},
    {"CREATE SCHEMA d", DDL | COMMIT | DATABASE, "", "", ""},
    {"ALTER TABLE t ADD COLUMN a int, ALGORITHM=INPLACE", DDL | COMMIT, "", "", ""},
    {"DROP PREPARE p", HARMLESS, "", "", ""},
    {"RENAME TABLE a TO b; GRANT ALL ON *.* TO x; INSTALL PLUGIN x SONAME 'y'", DDL | COMMIT, "", "", ""},
    {"OPTIMIZE TABLE t; REPAIR TABLE t; CHECK TABLE t; CACHE INDEX t IN x", COMMIT, "", "", ""},
    {"ANALYZE LOCAL TABLE t", COMMIT | HARMLESS, "", "", ""},
    {"ANALYZE FORMAT=JSON UPDATE t SET a = 1", W, "", "t", ""},
    {"EXPLAIN FORMAT=TREE DELETE FROM t", R, "", "", ""},
    {"EXPLAIN ANALYZE FORMAT=TREE SELECT f(a) FROM t", R, "t", "", "f"},
    {"DESC t; DESCRIBE t a", R, "", "", ""},
    {"HANDLER t READ FIRST; HELP 'x'; CHECKSUM TABLE t", R, "", "", ""},
    {"KILL 5; DEALLOCATE PREPARE p", HARMLESS, "", "", ""},
    {"CALL p(1)", UNKNOWN, "", "", ""},
    {"DO SLEEP(1)", UNKNOWN, "", "", ""},
    {"PREPARE p FROM 'DELETE FROM t'", UNKNOWN, "", "", ""},
    {"EXECUTE p", UNKNOWN, "", "", ""},
};

static void test_definitions_and_other_statements(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_MYSQL, definitions_and_other_statements);
}

static const struct row what_is_not_understood_may_write_anything[] = {
    {"/*!40101 SET NAMES utf8 */", UNKNOWN | SESSION, "", "", ""},
    {"SELECT /*!50700 a, */ b FROM t /*M! , u */", R | UNKNOWN, "t,u", "", ""},
    {"SELECT 'a\\'b' FROM t", R | UNKNOWN, "t", "", ""},
    {"SELECT \"a\\\"b\" FROM t", R | UNKNOWN, "t", "", ""},
    {"SELECT \"%s\" FROM t", R | UNKNOWN, "t", "", ""},
    {"SELECT * FROM a USE INDEX, b", R | UNKNOWN, "a,b", "", ""},
    {"DELETE FROM \"t\"", W | UNKNOWN, "", "", ""},
    {"SELECT \"f\"(1)", R | UNKNOWN, "", "", ""},
    {"SELECT * FROM \"t\"", R | UNKNOWN, "", "", ""},
    {"SELECT * FROM {oj a LEFT JOIN b ON 1}", R | UNKNOWN, "b", "", ""},
    {"DELETE 5 FROM t", W | UNKNOWN, "", "", ""},
    {"DELETE FROM db.2024", W | UNKNOWN, "", "db", ""},
    {"DELETE FROM 2024_t", W | UNKNOWN, "", "", ""},
    {"SELECT * FROM t FOR SYSTEM_TIME ALL", R | UNKNOWN, "t", "", ""},
    {"SELECT 'a", R | UNKNOWN, "", "", ""},
    {"SELECT \\N", R | UNKNOWN, "", "", ""},
    {"PRAGMA x", UNKNOWN, "", "", ""},
    {"LOAD DATA INFILE 'x'", UNKNOWN, "", "", ""},
    {"COPY t FROM STDIN", UNKNOWN, "", "", ""},
};

static void test_what_is_not_understood_may_write_anything(void **state)
{
    (void)state;
    CHECK_ROWS(QC_SQL_MYSQL, what_is_not_understood_may_write_anything);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statements_of_django),
        cmocka_unit_test(test_names_strings_and_comments),
        cmocka_unit_test(test_tables_are_found_wherever_they_stand),
        cmocka_unit_test(test_every_write_is_listed),
        cmocka_unit_test(test_transaction_control),
        cmocka_unit_test(test_settings_by_what_they_change),
        cmocka_unit_test(test_definitions_and_other_statements),
        cmocka_unit_test(test_what_is_not_understood_may_write_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
