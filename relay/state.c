/* The relay's state folder. */
#include "relay/state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"

static char *join(const char *folder, const char *name)
{
    size_t size = strlen(folder) + 1 + strlen(name) + 1;
    char *path = mem_new(size, 1);
    (void)snprintf(path, size, "%s/%s", folder, name);
    return path;
}

char *relay_state_path(const struct relay_state *state, const char *name)
{
    return join(state->folder, name);
}

int folder_check(const char *path, struct err *err)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return errno == ENOENT ? err_set(err, ERR_NOT_FOUND, "no folder %s", path)
                               : err_set_errno(err, errno, "cannot look at %s", path);
    if (!S_ISDIR(info.st_mode))
        return err_set(err, ERR_INVALID, "%s is not a folder", path);
    if ((info.st_uid != geteuid() && info.st_uid != 0) || (info.st_mode & 022) != 0)
        return err_set(err, ERR_DENIED, "folder %s: others may write to it (chmod go-w, chown)",
                       path);
    return 0;
}

static int state_folder_check(const char *path, struct err *err)
{
    struct stat info;
    if (folder_check(path, err) != 0)
        return -1;
    if (stat(path, &info) != 0 || info.st_uid != geteuid() || (info.st_mode & 077) != 0)
        return err_set(err, ERR_DENIED, "state folder %s: must be ours with mode 0700", path);
    return 0;
}

int public_key_read(const char *path, uint8_t key[LIMIT_KEY_BYTES], struct err *err)
{
    char text[KEY_TEXT_SIZE + 2] = "";
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? err_set(err, ERR_NOT_FOUND, "no file %s", path)
                               : err_set_errno(err, errno, "cannot open %s", path);
    int failed = 0;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) ||
        (info.st_uid != geteuid() && info.st_uid != 0) || (info.st_mode & 022) != 0)
        failed =
            err_set(err, ERR_DENIED, "key file %s: must be a file that only we may write", path);
    else if (read(fd, text, sizeof text - 1) < 0)
        failed = err_set_errno(err, errno, "cannot read %s", path);
    (void)close(fd);
    if (failed)
        return -1;
    text[strcspn(text, "\r\n")] = '\0';
    struct err why;
    if (key_from_text(text, key, &why) != 0)
        return err_set(err, ERR_INVALID, "key file %s: not 64 hexadecimal digits", path);
    return 0;
}

/* The public half beside the pair; rewritten when it is missing or another key's. */
static int write_public(const struct key_pair *pair, const char *path, struct err *err)
{
    uint8_t there[LIMIT_KEY_BYTES];
    struct err ignored;
    if (public_key_read(path, there, &ignored) == 0 && key_equal(there, pair->public_key))
        return 0;
    char text[KEY_TEXT_SIZE];
    char fresh[PATH_MAX];
    key_text(pair->public_key, text);
    if (snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh)
        return err_set(err, ERR_LIMIT, "path of %s is too long", path);
    (void)unlink(fresh);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot make %s", fresh);
    int written = dprintf(fd, "%s\n", text);
    int synced = fsync(fd);
    int closed = close(fd);
    if (written != KEY_TEXT_SIZE || synced != 0 || closed != 0)
        return err_set(err, ERR_IO, "cannot write %s", fresh);
    if (rename(fresh, path) != 0)
        return err_set_errno(err, errno, "cannot rename %s", fresh);
    return 0;
}

static int init_pair(const char *folder, enum key_kind kind, const char *name, struct err *err)
{
    char file[32];
    struct key_pair pair = {0};
    (void)snprintf(file, sizeof file, "%s.key", name);
    char *path = join(folder, file);
    int failed = key_pair_load_or_create(&pair, kind, path, err);
    free(path);
    if (failed)
        return -1;
    (void)snprintf(file, sizeof file, "%s.pub", name);
    path = join(folder, file);
    failed = write_public(&pair, path, err);
    free(path);
    key_pair_release(&pair);
    return failed;
}

int relay_state_init(const char *folder, struct err *err)
{
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return err_set_errno(err, errno, "cannot make folder %s", folder);
    if (state_folder_check(folder, err) != 0)
        return -1;
    if (init_pair(folder, KEY_CURVE, "curve", err) != 0)
        return -1;
    return init_pair(folder, KEY_SEAL, "seal", err);
}

int relay_state_lock(const char *folder, int *lock_fd, struct err *err)
{
    char *path = join(folder, "lock");
    int failed = 0;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        failed = err_set_errno(err, errno, "cannot open %s", path);
    else if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        failed = errno == EWOULDBLOCK
                     ? err_set(err, ERR_EXISTS,
                               "state folder %s is in use: another pusher-relay runs on it", folder)
                     : err_set_errno(err, errno, "cannot lock %s", path);
    free(path);
    if (failed && fd >= 0)
        (void)close(fd);
    if (!failed)
        *lock_fd = fd;
    return failed;
}

void relay_state_unlock(int lock_fd)
{
    if (lock_fd >= 0)
        (void)close(lock_fd);
}

static int replace_pair(const char *folder, const struct key_pair *pair, const char *name,
                        struct err *err)
{
    char file[32];
    (void)snprintf(file, sizeof file, "%s.key", name);
    char *path = join(folder, file);
    (void)snprintf(file, sizeof file, "%s.key.old", name);
    char *aside = join(folder, file);
    (void)snprintf(file, sizeof file, "%s.pub", name);
    char *public_path = join(folder, file);
    int failed = 0;
    if (rename(path, aside) != 0 && errno != ENOENT)
        failed = err_set_errno(err, errno, "cannot move %s aside", path);
    if (!failed)
        failed = key_pair_save(pair, path, err);
    if (!failed)
        failed = write_public(pair, public_path, err);
    free(path);
    free(aside);
    free(public_path);
    return failed;
}

int relay_state_replace(const char *folder, const struct key_pair *curve,
                        const struct key_pair *seal, struct err *err)
{
    return replace_pair(folder, curve, "curve", err) != 0 ? -1
                                                          : replace_pair(folder, seal, "seal", err);
}

static int load_pair(struct key_pair *pair, enum key_kind kind, const char *folder,
                     const char *file, struct err *err)
{
    struct err why;
    char *path = join(folder, file);
    int failed = key_pair_load(pair, kind, path, &why);
    free(path);
    if (!failed)
        return 0;
    if (why.code == ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "no %s in %s: run pusher-relay init --state %s first",
                       file, folder, folder);
    if (err)
        *err = why;
    return -1;
}

int relay_state_load(struct relay_state *state, const char *folder, struct err *err)
{
    memset(state, 0, sizeof *state);
    if (state_folder_check(folder, err) != 0 ||
        load_pair(&state->curve, KEY_CURVE, folder, "curve.key", err) != 0 ||
        load_pair(&state->seal, KEY_SEAL, folder, "seal.key", err) != 0) {
        relay_state_release(state);
        return -1;
    }
    state->folder = mem_strdup(folder);
    return 0;
}

void relay_state_release(struct relay_state *state)
{
    key_pair_release(&state->curve);
    key_pair_release(&state->seal);
    free(state->folder);
    memset(state, 0, sizeof *state);
}
