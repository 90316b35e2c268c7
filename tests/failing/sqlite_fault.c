/* SQLite's allocator, and a VFS in front of the real one. */
#include "tests/failing/sqlite_fault.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

static sqlite3_mem_methods real_memory;
static sqlite3_vfs *real_vfs;
static sqlite3_vfs our_vfs;

static void *take_memory(int size)
{
    return fault_now(FAULT_SQLITE_ALLOC, "sqlite malloc") ? NULL : real_memory.xMalloc(size);
}

static void *resize_memory(void *old, int size)
{
    return fault_now(FAULT_SQLITE_ALLOC, "sqlite realloc") ? NULL : real_memory.xRealloc(old, size);
}

/* The real file follows. */
struct file {
    sqlite3_file base;
};

static sqlite3_file *real(sqlite3_file *file)
{
    return (sqlite3_file *)((struct file *)file + 1);
}

static int do_close(sqlite3_file *file)
{
    return real(file)->pMethods->xClose(real(file));
}

static int do_read(sqlite3_file *file, void *to, int size, sqlite3_int64 at)
{
    if (fault_now(FAULT_FILE_IO, "xRead"))
        return SQLITE_IOERR_READ;
    return real(file)->pMethods->xRead(real(file), to, size, at);
}

static int do_write(sqlite3_file *file, const void *from, int size, sqlite3_int64 at)
{
    if (fault_now(FAULT_FILE_IO, "xWrite"))
        return SQLITE_IOERR_WRITE;
    if (fault_now(FAULT_FILE_FULL, "xWrite"))
        return SQLITE_FULL;
    if (fault_now(FAULT_FILE_SHORT, "xWrite")) {
        (void)real(file)->pMethods->xWrite(real(file), from, size / 2, at);
        return SQLITE_IOERR_WRITE;
    }
    return real(file)->pMethods->xWrite(real(file), from, size, at);
}

static int do_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    if (fault_now(FAULT_FILE_IO, "xTruncate"))
        return SQLITE_IOERR_TRUNCATE;
    return real(file)->pMethods->xTruncate(real(file), size);
}

static int do_sync(sqlite3_file *file, int flags)
{
    if (fault_now(FAULT_FILE_IO, "xSync"))
        return SQLITE_IOERR_FSYNC;
    return real(file)->pMethods->xSync(real(file), flags);
}

static int do_size(sqlite3_file *file, sqlite3_int64 *size)
{
    if (fault_now(FAULT_FILE_IO, "xFileSize"))
        return SQLITE_IOERR_FSTAT;
    return real(file)->pMethods->xFileSize(real(file), size);
}

static int do_lock(sqlite3_file *file, int level)
{
    if (fault_now(FAULT_FILE_IO, "xLock"))
        return SQLITE_IOERR_LOCK;
    if (fault_now(FAULT_FILE_BUSY, "xLock"))
        return SQLITE_BUSY;
    return real(file)->pMethods->xLock(real(file), level);
}

static int do_unlock(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xUnlock(real(file), level);
}

static int do_check_lock(sqlite3_file *file, int *reserved)
{
    return real(file)->pMethods->xCheckReservedLock(real(file), reserved);
}

static int do_control(sqlite3_file *file, int what, void *argument)
{
    return real(file)->pMethods->xFileControl(real(file), what, argument);
}

static int do_sector(sqlite3_file *file)
{
    return real(file)->pMethods->xSectorSize(real(file));
}

static int do_traits(sqlite3_file *file)
{
    return real(file)->pMethods->xDeviceCharacteristics(real(file));
}

static int do_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **out)
{
    if (fault_now(FAULT_FILE_IO, "xShmMap"))
        return SQLITE_IOERR_SHMMAP;
    return real(file)->pMethods->xShmMap(real(file), region, size, extend, out);
}

static int do_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    if ((flags & SQLITE_SHM_LOCK) != 0 && fault_now(FAULT_FILE_IO, "xShmLock"))
        return SQLITE_IOERR_SHMLOCK;
    if ((flags & SQLITE_SHM_LOCK) != 0 && fault_now(FAULT_FILE_BUSY, "xShmLock"))
        return SQLITE_BUSY;
    return real(file)->pMethods->xShmLock(real(file), offset, count, flags);
}

static void do_shm_barrier(sqlite3_file *file)
{
    real(file)->pMethods->xShmBarrier(real(file));
}

static int do_shm_unmap(sqlite3_file *file, int remove)
{
    return real(file)->pMethods->xShmUnmap(real(file), remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = do_close,
    .xRead = do_read,
    .xWrite = do_write,
    .xTruncate = do_truncate,
    .xSync = do_sync,
    .xFileSize = do_size,
    .xLock = do_lock,
    .xUnlock = do_unlock,
    .xCheckReservedLock = do_check_lock,
    .xFileControl = do_control,
    .xSectorSize = do_sector,
    .xDeviceCharacteristics = do_traits,
    .xShmMap = do_shm_map,
    .xShmLock = do_shm_lock,
    .xShmBarrier = do_shm_barrier,
    .xShmUnmap = do_shm_unmap,
};

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    (void)vfs;
    file->pMethods = NULL;
    if (fault_now(FAULT_FILE_IO, "xOpen"))
        return SQLITE_CANTOPEN;
    memset(real(file), 0, (size_t)real_vfs->szOsFile);
    int code = real_vfs->xOpen(real_vfs, name, real(file), flags, out);
    if (real(file)->pMethods != NULL)
        file->pMethods = &methods;
    return code;
}

static int delete_file(sqlite3_vfs *vfs, const char *name, int sync)
{
    (void)vfs;
    if (fault_now(FAULT_FILE_IO, "xDelete"))
        return SQLITE_IOERR_DELETE;
    return real_vfs->xDelete(real_vfs, name, sync);
}

static int look_for_file(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
    (void)vfs;
    if (fault_now(FAULT_FILE_IO, "xAccess"))
        return SQLITE_IOERR_ACCESS;
    return real_vfs->xAccess(real_vfs, name, flags, out);
}

void sqlite_fault_install(void)
{
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory) != SQLITE_OK)
        abort();
    sqlite3_mem_methods memory = real_memory;
    memory.xMalloc = take_memory;
    memory.xRealloc = resize_memory;
    /* Without a store of small pieces, which would hide most of the calls. */
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &memory) != SQLITE_OK ||
        sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK ||
        sqlite3_initialize() != SQLITE_OK)
        abort();
    real_vfs = sqlite3_vfs_find(NULL);
    our_vfs = *real_vfs;
    our_vfs.zName = "failing";
    our_vfs.pNext = NULL;
    our_vfs.szOsFile = real_vfs->szOsFile + (int)sizeof(struct file);
    our_vfs.xOpen = open_file;
    our_vfs.xDelete = delete_file;
    our_vfs.xAccess = look_for_file;
    if (sqlite3_vfs_register(&our_vfs, 1) != SQLITE_OK)
        abort();
}
