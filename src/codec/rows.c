#include "codec/rows.h"

bool qc_rows_valid(uint64_t rows, uint64_t columns)
{
    return columns <= QC_COLUMNS_MAX && (columns > 0 || rows == 0);
}
