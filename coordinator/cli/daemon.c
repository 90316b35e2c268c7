/* Starting and watching a child. */
#include "coordinator/cli/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/text.h"

#define LOG_BYTES_MAX (1 << 20) /* a larger log is set aside at the next start */
#define QUICK_MS 5000U          /* ended sooner than this after its start: something is wrong */
#define QUICK_ENDS_MAX 5U
#define BACKOFF_FIRST_MS 100U
#define BACKOFF_MAX_MS 3000U
#define TAIL_BYTES 2000 /* of the log, to find its last line in */
#define EXEC_FAILED 127 /* a child's status, as of a shell's */
#define LOCK_FD 3       /* where a daemon finds the inherited lock; it needs not know */

void daemon_init(struct daemon *daemon, const char *name, const struct state_paths *paths,
                 const char *log_name, int64_t lock_byte)
{
    memset(daemon, 0, sizeof *daemon);
    daemon->name = name;
    daemon->lock_fd = -1;
    daemon->lock_byte = lock_byte;
    (void)text_copy(daemon->lock, sizeof daemon->lock, paths->lock);
    (void)snprintf(daemon->log, sizeof daemon->log, "%s/%s", paths->root, log_name);
}

/* OFD locks: they belong to the open file, are inherited with it, and go with its last copy. */
static struct flock lock_of(int64_t byte)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
}

int lock_wait(const char *path, int64_t byte, struct err *err)
{
    struct flock lock = lock_of(byte);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open %s", path);
    while (fcntl(fd, F_OFD_SETLKW, &lock) != 0) {
        if (errno == EINTR)
            continue;
        (void)err_set_errno(err, errno, "cannot lock %s", path);
        (void)close(fd);
        return -1;
    }
    return fd;
}

static int lock_try(struct daemon *daemon, struct err *err)
{
    struct flock lock = lock_of(daemon->lock_byte);
    if (daemon->lock_fd < 0) {
        daemon->lock_fd = open(daemon->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (daemon->lock_fd < 0)
            return err_set_errno(err, errno, "cannot open %s", daemon->lock);
    }
    daemon->held = fcntl(daemon->lock_fd, F_OFD_SETLK, &lock) == 0;
    return daemon->held || errno == EAGAIN || errno == EACCES
               ? 0
               : err_set_errno(err, errno, "cannot lock %s", daemon->lock);
}

/* The log, at its end; *offset is its size. */
static int log_open(struct daemon *daemon, struct err *err)
{
    struct stat status;
    if (stat(daemon->log, &status) == 0 && status.st_size > LOG_BYTES_MAX) {
        char aside[STATE_PATH_SIZE];
        (void)snprintf(aside, sizeof aside, "%.*s.1", (int)sizeof aside - 4, daemon->log);
        (void)rename(daemon->log, aside);
    }
    int fd = open(daemon->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open %s", daemon->log);
    daemon->log_offset = fstat(fd, &status) == 0 ? status.st_size : 0;
    return fd;
}

/* In the child: only what is safe after fork in a process with threads. */
__attribute__((noreturn)) static void child_run(const char *path, char *const *argv, int log_fd,
                                                int null_fd, int lock_fd, pid_t parent)
{
    (void)setpgid(0, 0);
    /* Until exec only: a program with file capabilities loses it there. --parent asks again. */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL);
    if (dup2(null_fd, 0) < 0 || dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0)
        _exit(1);
    /* dup2 onto itself would keep close-on-exec. */
    if (lock_fd == LOCK_FD)
        (void)fcntl(LOCK_FD, F_SETFD, 0);
    else if (lock_fd >= 0)
        (void)dup2(lock_fd, LOCK_FD);
    (void)close_range(lock_fd >= 0 ? LOCK_FD + 1 : LOCK_FD, ~0U, 0);
    (void)execv(path, argv);
    _exit(EXEC_FAILED);
}

static pid_t spawn(struct daemon *daemon, const char *const *arguments, struct err *err)
{
    char *argv[DAEMON_ARGUMENTS_MAX + 2];
    size_t count = 0;
    /* execv's type is older than const; it changes nothing. */
    union {
        const char *in;
        char *out;
    } word = {.in = daemon->path};
    argv[count++] = word.out;
    for (; *arguments != NULL && count <= DAEMON_ARGUMENTS_MAX; arguments++) {
        word.in = *arguments;
        argv[count++] = word.out;
    }
    argv[count] = NULL;
    int log_fd = log_open(daemon, err);
    if (log_fd < 0)
        return -1;
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pid_t parent = getpid();
    pid_t pid = null_fd < 0 ? -1 : fork();
    if (pid == 0)
        child_run(daemon->path, argv, log_fd, null_fd, daemon->lock_fd, parent);
    int errno_value = errno;
    (void)close(log_fd);
    if (null_fd >= 0)
        (void)close(null_fd);
    return pid > 0 ? pid : err_set_errno(err, errno_value, "cannot start %s", daemon->name);
}

/* The sentence of a log line "TIME PROGRAM[PID] error: SENTENCE". */
static const char *sentence_of(const char *line)
{
    const char *mark = strstr(line, " error: ");
    return mark == NULL ? line : mark + strlen(" error: ");
}

/* The last line that the log got since the last start: why a daemon ended, and the remedy. */
static void log_last_line(const struct daemon *daemon, char *to, size_t size)
{
    char bytes[TAIL_BYTES + 1];
    to[0] = '\0';
    FILE *file = fopen(daemon->log, "re");
    if (file == NULL)
        return;
    if (fseek(file, 0, SEEK_END) == 0) {
        long end = ftell(file);
        long from = end - TAIL_BYTES > daemon->log_offset ? end - TAIL_BYTES : daemon->log_offset;
        if (fseek(file, from, SEEK_SET) == 0) {
            size_t got = fread(bytes, 1, TAIL_BYTES, file);
            while (got > 0 && (bytes[got - 1] == '\n' || bytes[got - 1] == '\0'))
                got--;
            bytes[got] = '\0';
            const char *last = strrchr(bytes, '\n');
            (void)text_printable(to, size, sentence_of(last == NULL ? bytes : last + 1));
        }
    }
    (void)fclose(file);
}

/* The daemon's own words come first: an err cuts at its end, and where the log is can be guessed
 * sooner than the remedy. */
static int fail_with_words(const struct daemon *daemon, const char *what, struct err *err)
{
    char words[ERR_TEXT_SIZE];
    log_last_line(daemon, words, sizeof words);
    if (words[0] == '\0')
        return err_set(err, ERR_UNAVAILABLE, "%s %s; its log: %s", daemon->name, what, daemon->log);
    return err_set(err, ERR_UNAVAILABLE, "%s %s: %s; its log: %s", daemon->name, what, words,
                   daemon->log);
}

static void describe_end(int status, char ended[64])
{
    if (WIFSIGNALED(status))
        (void)snprintf(ended, 64, "signal %d", WTERMSIG(status));
    else
        (void)snprintf(ended, 64, "status %d%s", WEXITSTATUS(status),
                       WEXITSTATUS(status) == EXEC_FAILED ? ", cannot be executed" : "");
}

static int reap(struct daemon *daemon, uint64_t now_ms, enum daemon_news *news, char ended[64],
                struct err *err)
{
    int status = 0;
    if (waitpid(daemon->pid, &status, WNOHANG) != daemon->pid)
        return 0;
    daemon->pid = 0;
    describe_end(status, ended);
    *news = DAEMON_ENDED;
    bool quick = now_ms - daemon->started_ms < QUICK_MS;
    daemon->quick_ends = quick ? daemon->quick_ends + 1 : 0;
    uint64_t pause_ms = quick ? BACKOFF_FIRST_MS << daemon->quick_ends : 0;
    daemon->next_start_ms = now_ms + (pause_ms > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : pause_ms);
    if (daemon->quick_ends < QUICK_ENDS_MAX)
        return 0;
    char what[96];
    (void)snprintf(what, sizeof what, "keeps ending right after its start (%s)", ended);
    return fail_with_words(daemon, what, err);
}

int daemon_poll(struct daemon *daemon, uint64_t now_ms, enum daemon_news *news, char ended[64],
                struct err *err)
{
    *news = DAEMON_QUIET;
    if (!daemon->held) {
        if (lock_try(daemon, err) != 0)
            return -1;
        if (daemon->held && now_ms > 0)
            *news = DAEMON_TAKEN_OVER;
        if (!daemon->held)
            return 0;
    }
    if (daemon->pid > 0)
        return reap(daemon, now_ms, news, ended, err);
    if (now_ms < daemon->next_start_ms)
        return 0;
    pid_t pid = spawn(daemon, daemon->arguments, err);
    if (pid < 0)
        return -1;
    daemon->pid = pid;
    daemon->started_ms = now_ms;
    if (*news == DAEMON_QUIET)
        *news = DAEMON_STARTED;
    return 0;
}

int daemon_run_once(struct daemon *daemon, const char *const *arguments, struct err *err)
{
    int status = 0;
    char ended[64];
    char what[96];
    pid_t pid = spawn(daemon, arguments, err);
    if (pid < 0)
        return -1;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_set_errno(err, errno, "cannot wait for %s", daemon->name);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    describe_end(status, ended);
    (void)snprintf(what, sizeof what, "%s ended with %s", arguments[0], ended);
    return fail_with_words(daemon, what, err);
}

void daemon_terminate(const struct daemon *daemon)
{
    if (daemon->pid > 0)
        (void)kill(daemon->pid, SIGTERM);
}

bool daemon_gone(struct daemon *daemon)
{
    int status = 0;
    if (daemon->pid > 0 && waitpid(daemon->pid, &status, WNOHANG) == daemon->pid)
        daemon->pid = 0;
    return daemon->pid == 0;
}

void daemon_kill(struct daemon *daemon)
{
    int status = 0;
    if (daemon->pid <= 0)
        return;
    (void)kill(daemon->pid, SIGKILL);
    while (waitpid(daemon->pid, &status, 0) < 0 && errno == EINTR)
        ;
    daemon->pid = 0;
}

void daemon_release(struct daemon *daemon)
{
    if (daemon->lock_fd >= 0)
        (void)close(daemon->lock_fd);
    daemon->lock_fd = -1;
    daemon->held = false;
}
