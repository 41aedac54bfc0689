#include "sqlscan/scan.h"

/* SQLite's own functions write nothing (PROTOCOL 2.8), but some of its extensions' do: they run SQL on the connection.
 * SpatiaLite's are those that GeoDjango's migrations call, and their like. */
/* clang-format off */
static const char *const sqlite_runs_sql[] = {
    "addgeometrycolumn", "addtemporaryspatialindex", "clonetable", "creatembrcache", "createspatialindex",
    "createtemporaryspatialindex", "disablespatialindex", "discardgeometrycolumn", "dropgeotable", "droptable",
    "elementarygeometries", "eval", "importdbf", "importgeojson", "importshp", "importwfs", "importxls",
    "initadvancedmetadata", "initspatialmetadata", "initspatialmetadatafull", "insertepsgsrid", "load_extension",
    "rebuildgeometrytriggers", "recovergeometrycolumn", "recoverspatialindex", "registervirtualgeometry",
    "renamecolumn", "renametable", "updatelayerstatistics", "upgradegeometrytriggers", NULL
};
/* clang-format on */

uint32_t qc_function_flags(enum qc_sql_dialect dialect, const struct qc_token *name)
{
    if (dialect == QC_SQL_POSTGRESQL && qc_token_is(name, "set_config"))
        return QC_SQL_SESSION;
    if (dialect == QC_SQL_SQLITE && qc_token_is_any(name, sqlite_runs_sql))
        return QC_SQL_UNKNOWN;
    return 0;
}
