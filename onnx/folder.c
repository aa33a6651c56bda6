/* Reads a model, and the files of external data in its folder. A path from the file is walked part by part without
 * following symbolic links, so that it cannot leave the folder. */
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../io/file.h"

#define MOST_OF_MODEL (1ull << 31) /* bytes of a protocol buffer, by its definition */

char *wg__span_text(wg__arena *arena, wg__span span)
{
    char *text = wg__arena_alloc(arena, span.size + 1, 1);
    if (!text) return NULL;
    if (span.size) memcpy(text, span.data, span.size);
    text[span.size] = 0;
    return text;
}

void wg__span_discard(wg__span span)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)span.data;
    const uintptr_t first = (begin + page - 1) / page * page, end = (begin + span.size) / page * page;
    if (first < end) madvise((void *)first, end - first, MADV_DONTNEED);
}

/* Reads the whole file and closes it. */
static bool hold(wg__folder *folder, wg__reader *reader, uint64_t most, wg__span *bytes, wg_error *error)
{
    const char *name = reader->path;
    const bool is_large = reader->file_size > most;
    char *read;
    size_t size;
    const bool ok = !is_large && wg__reader_take(reader, most, &read, &size, error) == WG_OK;
    wg__reader_close(reader);
    if (is_large) return wg_error_set(error, WG_ERR_FORMAT, WG__AT "is larger than 2 GiB", name), false;
    if (!ok) return false;
    wg__held *file = size ? wg__arena_array(folder->arena, 1, sizeof *file) : NULL;
    if (!file) {
        free(read);
        if (!size) return wg_error_set(error, WG_ERR_FORMAT, WG__AT "is empty", name), false;
        return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", name), false;
    }
    char *exact = realloc(read, size); /* without the NUL: a sanitizer sees each read past the end */
    *bytes = (wg__span){(const uint8_t *)(exact ? exact : read), size};
    *file = (wg__held){.next = folder->first, .name = name, .bytes = *bytes};
    folder->first = file;
    return true;
}

bool wg__folder_open(wg__folder *folder, wg__arena *arena, const char *path, wg__span *bytes, wg_error *error)
{
    *folder = (wg__folder){.arena = arena, .path = wg__span_text(arena, wg__span_of(path))};
    if (!folder->path) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", path), false;
    wg__reader reader;
    return wg__reader_open_plain(&reader, folder->path, error) == WG_OK &&
           hold(folder, &reader, MOST_OF_MODEL, bytes, error);
}

static void close_first(wg__folder *folder)
{
    free((void *)(uintptr_t)folder->first->bytes.data);
    folder->first = folder->first->next;
}

void wg__folder_close_others(wg__folder *folder)
{
    while (folder->first && folder->first->next) close_first(folder);
}

void wg__folder_close(wg__folder *folder)
{
    while (folder->first) close_first(folder);
}

/* Opens the folder that the model is in; -1 with errno. */
static int open_folder(const wg__folder *folder)
{
    const char *slash = strrchr(folder->path, '/');
    if (!slash) return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char *name =
        wg__span_text(folder->arena, (wg__span){(const uint8_t *)folder->path, (size_t)(slash - folder->path) + 1});
    if (!name) return errno = ENOMEM, -1;
    return open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Opens part after part of the path below the folder; -1 with errno. It writes NULs into name. */
static int open_below(const wg__folder *folder, char *name)
{
    int fd = open_folder(folder);
    while (fd >= 0) {
        char *slash = strchr(name, '/');
        if (slash) *slash = 0;
        const int next =
            openat(fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (slash ? O_DIRECTORY : 0));
        const int code = errno;
        close(fd);
        errno = code;
        fd = next;
        if (!slash) break;
        name = slash + 1;
    }
    return fd;
}

bool wg__folder_take(wg__folder *folder, wg__span location, uint64_t offset, int64_t size, wg__span *bytes,
                     wg_error *error)
{
    const wg__held *file = folder->first;
    while (file && (!file->next || !wg__span_is(location, file->name))) file = file->next;
    if (file)
        *bytes = file->bytes;
    else {
        char *name = wg__span_text(folder->arena, location), *parts = wg__span_text(folder->arena, location);
        if (!name || !parts) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", folder->path), false;
        if (!wg__path_is_below(name, location.size))
            return wg_error_set(error, WG_ERR_FORMAT,
                                WG__AT "external data in '%.80s', which leaves the model's folder", folder->path,
                                name),
                   false;
        wg__reader reader;
        if (wg__reader_of(&reader, open_below(folder, parts), name, error) != WG_OK ||
            !hold(folder, &reader, UINT64_MAX, bytes, error))
            return false;
    }
    if (offset > bytes->size || (size >= 0 && (uint64_t)size > bytes->size - offset))
        return wg_error_set(error, WG_ERR_FORMAT, WG__AT "external data past the end of '%.80s'", folder->path,
                            file ? file->name : folder->first->name),
               false;
    *bytes = (wg__span){bytes->data + offset, size >= 0 ? (size_t)size : bytes->size - (size_t)offset};
    return true;
}
