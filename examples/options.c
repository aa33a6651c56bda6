/* Options of the examples, by a table: parsing, help, text for checkpoints and back. */
#include "app.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

/* The choice that equals text, or NULL. */
static const char *find_choice(const char *const *choices, const char *text)
{
    while (*choices && strcmp(*choices, text) != 0) choices++;
    return *choices;
}

/* "rnn, lstm, gru" */
static const char *choices_text(const char *const *choices, char *text, size_t size)
{
    size_t n = 0;
    *text = 0;
    for (int i = 0; choices[i] && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%s", i ? ", " : "", choices[i]);
    return text;
}

static void list_add(app_list *list, const char *item)
{
    list->items = realloc(list->items, (size_t)(list->n + 1) * sizeof *list->items);
    if (!list->items) app_fail("out of memory");
    list->items[list->n++] = item;
}

bool app_option_set(app_option *o, const char *text)
{
    char *end = NULL;
    errno = 0;
    switch (o->type) {
    case APP_FLAG: *(bool *)o->value = strcmp(text, "0") != 0; return true;
    case APP_INT: {
        long long number = strtoll(text, &end, 10);
        if (end == text || *end || errno || (double)number < o->low || (double)number > o->high) return false;
        *(int64_t *)o->value = number;
        return true;
    }
    case APP_REAL: {
        double number = strtod(text, &end);
        if (end == text || *end || !(number >= o->low && number <= o->high)) return false;
        *(double *)o->value = number;
        return true;
    }
    case APP_CHOICE:
        if (!find_choice(o->choices, text)) return false;
        *(const char **)o->value = find_choice(o->choices, text);
        return true;
    case APP_TEXT: *(const char **)o->value = text; return true;
    case APP_LIST: list_add(o->value, text); return true;
    case APP_END: break;
    }
    return false;
}

void app_preset(app_option *table, const char *settings)
{
    char word[128];
    for (int used; sscanf(settings, "%127s%n", word, &used) == 1; settings += used) {
        char *value = strchr(word, '=');
        app_option *o = table;
        if (value) *value++ = 0;
        while (o->type != APP_END && strcmp(o->name, word) != 0) o++;
        if (!o->given && (!value || o->type == APP_TEXT || !app_option_set(o, value)))
            app_fail("the preset of --%s is wrong", word);
    }
}

const char *app_option_text(const app_option *o, char text[64])
{
    switch (o->type) {
    case APP_FLAG: return *(bool *)o->value ? "1" : "0";
    case APP_INT: snprintf(text, 64, "%lld", (long long)*(int64_t *)o->value); return text;
    case APP_REAL: snprintf(text, 64, "%.17g", *(double *)o->value); return text;
    case APP_TEXT:
    case APP_CHOICE: return *(const char **)o->value;
    default: return "";
    }
}

static _Noreturn void refuse_value(const app_option *o, const char *text)
{
    char all[128];
    if (o->type == APP_CHOICE)
        app_usage("--%s must be one of %s, not '%s'", o->name, choices_text(o->choices, all, sizeof all), text);
    app_usage("--%s must be a %snumber from %.10g to %.10g, not '%s'", o->name, o->type == APP_INT ? "whole " : "",
              o->low, o->high, text);
}

static void print_help(const char *usage, const char *summary, const app_option *table)
{
    printf("usage: %s\n\n%s\n\n", usage, summary);
    for (const app_option *o = table; o->type != APP_END; o++) {
        char left[64], value[64], all[128];
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->hint ? " " : "", o->hint ? o->hint : "");
        printf("  %-22s %s", left, o->help);
        if (o->type == APP_INT) printf(" (%s)", app_option_text(o, value));
        if (o->type == APP_REAL) printf(" (%g)", *(double *)o->value);
        if (o->type == APP_CHOICE)
            printf(": %s (%s)", choices_text(o->choices, all, sizeof all), app_option_text(o, value));
        if (o->type == APP_TEXT && *(const char **)o->value) printf(" (%s)", app_option_text(o, value));
        putchar('\n');
    }
    printf("  %-22s %s\n  %-22s %s\n", "--help", "print this", "--version", "print the version");
}

/* The table in getopt's form; val is the index plus one. */
static struct option *to_getopt(const app_option *table, int *n)
{
    for (*n = 0; table[*n].type != APP_END; ++*n) {}
    struct option *longs = calloc((size_t)*n + 3, sizeof *longs);
    if (!longs) app_fail("out of memory");
    for (int i = 0; i < *n; i++) {
        int argument = table[i].type == APP_FLAG ? no_argument : required_argument;
        longs[i] = (struct option){table[i].name, argument, NULL, i + 1};
    }
    longs[*n] = (struct option){"help", no_argument, NULL, *n + 1};
    longs[*n + 1] = (struct option){"version", no_argument, NULL, *n + 2};
    return longs;
}

/* Adds arguments that are not options to the list of the table. */
static void take_rest(int argc, char **argv, app_option *table)
{
    for (; optind < argc; optind++) {
        app_option *o = table;
        while (o->type != APP_END && o->type != APP_LIST) o++;
        if (o->type == APP_END) app_usage("'%s' is not an option; --help lists them", argv[optind]);
        app_option_set(o, argv[optind]);
    }
}

/* Ends the program if an option was given without the one that it needs. */
static void check_needs(const app_option *table)
{
    for (const app_option *o = table; o->type != APP_END; o++) {
        const app_option *other = table;
        if (!o->given || !o->needs) continue;
        while (other->type != APP_END && strcmp(other->name, o->needs) != 0) other++;
        if (!other->given) app_usage("--%s does nothing without --%s", o->name, o->needs);
    }
}

void app_parse(int argc, char **argv, const char *usage, const char *summary, app_option *table)
{
    int n, code, index = 0;
    struct option *longs = to_getopt(table, &n);
    opterr = 0;
    optind = 1;
    while ((code = getopt_long(argc, argv, ":", longs, &index)) != -1) {
        const char *word = argv[optind - 1];
        if (code == ':') app_usage("%s needs a value", word);
        if (code == '?') app_usage("unknown option '%s'; --help lists them", word);
        if (code == n + 1) print_help(usage, summary, table);
        if (code == n + 2) printf("%s %s\n", app_program(), wg_version());
        if (code > n) {
            app_check_output();
            exit(0);
        }
        app_option *o = &table[code - 1];
        if (!app_option_set(o, o->type == APP_FLAG ? "1" : optarg)) refuse_value(o, optarg);
        o->given = true;
    }
    free(longs);
    take_rest(argc, argv, table);
    check_needs(table);
}
