/* Key files and the state folder. */
#include "coordinator/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/trust/keys.h"

int files_path(char path[FILES_PATH_SIZE], const char *folder, const char *name, struct err *err)
{
    int length = snprintf(path, FILES_PATH_SIZE, "%s/%s", folder, name);
    if (length < 0 || length >= FILES_PATH_SIZE)
        return err_set(err, ERR_LIMIT, "path too long: %s/%s", folder, name);
    return 0;
}

int files_read_key(const char *path, uint8_t key[LIMIT_KEY_BYTES], struct err *err)
{
    char text[KEY_TEXT_SIZE + 2];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "no key file %s", path);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open %s", path);
    ssize_t size = read(fd, text, sizeof text - 1);
    int failure = errno;
    (void)close(fd);
    if (size < 0)
        return err_set_errno(err, failure, "cannot read %s", path);
    text[size] = '\0';
    text[strcspn(text, "\n")] = '\0';
    if (key_from_text(text, key, NULL) != 0)
        return err_set(err, ERR_INVALID, "%s holds no public key (64 hexadecimal digits)", path);
    return 0;
}

int files_write_key(const char *path, const uint8_t key[LIMIT_KEY_BYTES], struct err *err)
{
    char text[KEY_TEXT_SIZE + 1];
    char fresh[FILES_PATH_SIZE];
    if (snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh)
        return err_set(err, ERR_LIMIT, "path too long: %s", path);
    key_text(key, text);
    text[KEY_TEXT_SIZE - 1] = '\n';
    (void)unlink(fresh);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot create %s", fresh);
    bool written = write(fd, text, KEY_TEXT_SIZE) == KEY_TEXT_SIZE && fsync(fd) == 0;
    int failure = errno;
    (void)close(fd);
    if (!written || rename(fresh, path) != 0) {
        failure = written ? errno : failure;
        (void)unlink(fresh);
        return err_set_errno(err, failure, "cannot write %s", path);
    }
    return 0;
}

int files_init_state(const char *folder, struct err *err)
{
    char path[FILES_PATH_SIZE];
    uint8_t known[LIMIT_KEY_BYTES];
    struct key_pair pair;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return err_set_errno(err, errno, "cannot make %s", folder);
    if (files_path(path, folder, "curve.key", err) != 0 ||
        key_pair_load_or_create(&pair, KEY_CURVE, path, err) != 0)
        return -1;
    int result = files_path(path, folder, "curve.pub", err);
    if (result == 0 &&
        (files_read_key(path, known, NULL) != 0 || !key_equal(known, pair.public_key)))
        result = files_write_key(path, pair.public_key, err);
    key_pair_release(&pair);
    return result;
}

int files_lock_state(const char *folder, int *lock_fd, struct err *err)
{
    char path[FILES_PATH_SIZE];
    if (files_path(path, folder, "lock", err) != 0)
        return -1;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND,
                       "there is no state folder %s: pusher-coordinator init --state %s makes it",
                       folder, folder);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        *lock_fd = fd;
        return 0;
    }
    int failure = errno;
    (void)close(fd);
    if (failure == EWOULDBLOCK)
        return err_set(err, ERR_EXISTS, "another coordinator runs on %s: end it first", folder);
    return err_set_errno(err, failure, "cannot lock %s", path);
}
