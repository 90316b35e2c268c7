/* The security descriptor of every file that a job puts into C:\\SPDISTRO: one place, so that the
 * package and whatever is put beside it are reachable for the same account.
 */
#ifndef PUSHER_RELAY_STAGE_FILESD_H
#define PUSHER_RELAY_STAGE_FILESD_H

#include "common/base/buf.h"
#include "common/model/job.h"

#define FILESD_SIZE_MAX 256U /* bytes of any of them */

/* Appends the self-relative descriptor ([MS-DTYP] 2.4.6) for the SecD create context of a file
 * that the job's task reads or runs: owner Administrators, protected DACL, full control for SYSTEM
 * and Administrators. A task that runs as LOCAL SERVICE, NETWORK SERVICE or the logged-on user may
 * read and execute it too; the folder stays closed, bypassing its check on the way is everybody's
 * right (SeChangeNotifyPrivilege). Nobody else may change it. */
void filesd_build(struct buf *out, const struct job *job);
/* Appends that of a folder for such files, which inherit its rights where they bring none. */
void filesd_build_folder(struct buf *out, const struct job *job);
/* Appends that of a file which the job's task writes: the account may read and write it. */
void filesd_build_output(struct buf *out, const struct job *job);

#endif
