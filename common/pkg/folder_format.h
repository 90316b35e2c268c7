/* Constants of the format that folder.h describes, shared by its reader and its builder. */
#ifndef PUSHER_PKG_FOLDER_FORMAT_H
#define PUSHER_PKG_FOLDER_FORMAT_H

#define FOLDER_MAGIC "PUSHFLDR"
#define FOLDER_MAGIC_SIZE 8U
#define FOLDER_VERSION 1U
#define FOLDER_ENTRY_MIN 11U /* u16, one byte of path, u64 */

#endif
