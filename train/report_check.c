/* What every call of a report checks, and the error that it keeps. */
#include "../io/file.h"
#include "page.h"

#include <string.h>

bool wg__is_name(const char *text)
{
    const size_t length = text ? strnlen(text, WG__NAME + 1) : 0;
    return length > 0 && length <= WG__NAME && wg__utf8_error(text, length) == length;
}

wg_status wg_report_status(const wg_report *report) { return report ? report->error.status : WG_ERR_ARGUMENT; }
const char *wg_report_message(const wg_report *report) { return report ? report->error.text : ""; }

wg_status wg__report_fail(wg_report *report, wg_status status, const char *format, ...)
{
    va_list arguments;
    wg_error error = {0};
    va_start(arguments, format);
    wg_error_setv(&error, status, format, arguments);
    va_end(arguments);
    if (report) wg_error_set(&report->error, status, "report: %s", error.text);
    return status;
}

bool wg__report_begin(wg_report *report, const char *what, const char *name, wg_status *status)
{
    if (report && wg__is_name(name)) return true;
    *status = wg__report_fail(report, WG_ERR_ARGUMENT, "%s \"%.80s\": a name must be UTF-8 of 1 to %d bytes", what,
                              name ? name : "", WG__NAME);
    return false;
}

wg_status wg__report_end(wg_report *report, const wg__bytes *section)
{
    return section->failed ? wg__report_fail(report, WG_ERR_MEMORY, "out of memory") : WG_OK;
}
