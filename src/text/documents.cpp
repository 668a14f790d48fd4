#include "halftone/text/documents.h"

#include <zlib.h>

#include <memory>

#include "halftone/base/error.h"
#include "halftone/io/file_kind.h"
#include "halftone/io/text_file.h"

namespace halftone {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 34;
constexpr std::string_view kSeparator = "<|endoftext|>";

std::string unpack_gzip(const std::string& packed, const std::string& path) {
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK)
    throw_error(ErrorKind::memory, "{}: no memory to unpack it", path);
  const std::unique_ptr<z_stream, int (*)(z_stream*)> ending(&stream, inflateEnd);
  std::string out, buffer(1 << 20, '\0');
  size_t at = 0;
  int state = Z_OK;
  while (state != Z_STREAM_END) {
    if (stream.avail_in == 0) {
      const size_t n = std::min<size_t>(packed.size() - at, 1 << 30);
      if (n == 0)
        throw_error(ErrorKind::format, "{}: the gzip data end too early, after {} bytes of text",
                    path, out.size());
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data() + at));
      stream.avail_in = static_cast<uInt>(n);
      at += n;
    }
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    state = inflate(&stream, Z_NO_FLUSH);
    if (state != Z_OK && state != Z_STREAM_END)
      throw_error(ErrorKind::format, "{}: damaged gzip data: {}", path,
                  stream.msg ? stream.msg : "unknown cause");
    out.append(buffer, 0, buffer.size() - stream.avail_out);
    if (out.size() > kMostBytes)
      throw_error(ErrorKind::format, "{}: more than {} bytes of text", path, kMostBytes);
    if (state == Z_STREAM_END && (stream.avail_in > 0 || at < packed.size())) {  // a further member
      inflateReset(&stream);
      state = Z_OK;
    }
  }
  return out;
}

}  // namespace

std::string read_text(const std::string& path) {
  const FileKind kind = file_kind(path);
  if (kind != FileKind::gzip && kind != FileKind::other)
    throw_error(ErrorKind::format, "{}: is {}, text or gzipped text expected", path,
                file_kind_name(kind));
  std::string text = read_text_file(path, kMostBytes);
  return kind == FileKind::gzip || path.ends_with(".gz") ? unpack_gzip(text, path) : text;
}

std::vector<std::string_view> split_documents(std::string_view text) {
  std::vector<std::string_view> documents;
  size_t begin = 0;
  const auto close = [&](size_t end) {
    std::string_view document = text.substr(begin, end - begin);
    if (document.ends_with("\r\n")) document.remove_suffix(1);
    if (document.ends_with('\n') || document.ends_with('\r')) document.remove_suffix(1);
    if (!document.empty()) documents.push_back(document);
  };
  for (size_t line = 0; line < text.size();) {
    size_t end = text.find('\n', line);
    if (end == std::string_view::npos) end = text.size();
    std::string_view content = text.substr(line, end - line);
    if (!content.empty() && content.back() == '\r') content.remove_suffix(1);
    if (content == kSeparator) {
      close(line);
      begin = std::min(end + 1, text.size());
    }
    line = end + 1;
  }
  close(text.size());
  return documents;
}

std::string join_wikitext(std::string_view raw) {
  std::string out;
  bool first = true;
  for (size_t line = 0; line < raw.size();) {
    size_t end = raw.find('\n', line);
    end = end == std::string_view::npos ? raw.size() : end + 1;
    const std::string_view row = raw.substr(line, end - line);
    if (!first) out += "\n\n";
    first = false;
    if (row.find_first_not_of(" \t\r\n") != std::string_view::npos) out += row;
    line = end;
  }
  return out;
}

}  // namespace halftone
