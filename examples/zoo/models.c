/* See models.h. */
#include "models.h"

#include <stdlib.h>
#include <string.h>

char *models_path(const char *folder, const char *file)
{
    const char *home = getenv("HOME");
    if (!folder) folder = getenv("WG_ZOO");
    const bool given = folder && *folder;
    if (!given) folder = home ? home : ".";
    const size_t room = strlen(folder) + strlen(file) + 32;
    char *path = app_room((int64_t)room, 1);
    snprintf(path, room, "%s%s/%s", folder, given ? "" : "/.cache/wengert-zoo", file);
    return path;
}

void models_write(const char *folder, const char *kind, size_t number, const wg_entry *array)
{
    wg_error error = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/%s%zu.npy", folder, kind, number);
    if (wg_npy_write(path, array, &error) != WG_OK) app_fail("%s", error.text);
}

void models_serve(void (*run)(void *context), void *context)
{
    char line[16];
    for (puts("ready"); fflush(stdout) == 0 && fgets(line, sizeof line, stdin);) {
        const double begin = wg_seconds();
        run(context);
        printf("%.9f\n", wg_seconds() - begin);
    }
}
