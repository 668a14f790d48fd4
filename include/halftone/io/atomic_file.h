// Files that are either the old one or the whole new one, whatever happens in between.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace halftone {

// Calls write(temporary_path) with "<path>.tmp.<pid>", an empty file in the directory of `path`;
// the callback opens, fills and closes it. Then fsync(file), rename over `path`, fsync(directory).
// When anything throws before the rename, the temporary is unlinked and the old file is untouched.
// What killed writers of `path` left is removed first: a writer locks its temporary (flock) for as
// long as it lives. Throws Error(io) naming the path and the cause; what the callback throws passes
// through.
void write_file_durably(const std::string& path,
                        const std::function<void(const std::string& temporary_path)>& write);

// Sees what was written, whole, under its temporary name, before it gets its own. What it throws
// leaves nothing behind.
using WrittenCheck = std::function<void(const std::string& temporary)>;

void write_text_durably(const std::string& path, std::string_view contents);

// Calls write(temporary_directory) with a new directory beside `directory`, which takes that name
// once all files in it are on disk. `directory` must not exist, or be empty. Killed at any instant,
// the whole directory is there or none of it; what earlier writers left beside it goes. Throws
// Error(recipe) where something is in its place, Error(io); what the callback throws passes
// through.
void write_directory_durably(const std::string& directory,
                             const std::function<void(const std::string& temporary)>& write);

// Makes or empties `file` and writes the bytes: for callbacks of the above. Throws Error(io) naming
// `path`, what the file is to become.
void write_bytes(const std::string& file, std::string_view bytes, const std::string& path);

// Appends the bytes at once, not durably: killed, the last of them may be missing. Throws
// Error(io).
void append_text(const std::string& path, std::string_view text);
// Flushes what was appended. Throws Error(io).
void sync_file(const std::string& path);

// Makes a directory and those above it that are missing, durably. Throws Error(io).
void make_directories(const std::string& path);

// Removes the temporaries that killed writers left in a directory.
void remove_temporaries(const std::string& directory);

// Throws Error(io) "<path>: cannot <action>: <text of error_number>".
[[noreturn]] void throw_io(const std::string& path, std::string_view action, int error_number);

// The steps of the calls above. A test replaces io_step_hook() to stop a process, or throw, at one.
enum class IoStep { open, write, close, verify, sync_file, rename, sync_directory };
using IoStepHook = void (*)(IoStep step);
IoStepHook& io_step_hook();  // nullptr: no hook
void io_step(IoStep step);   // called before the step is carried out

}  // namespace halftone
