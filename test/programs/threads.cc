// Exceptions across threads, thread-local storage, futures, a condition variable,
// and time-outs: what a C++ program asks of its system.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <map>
#include <mutex>
#include <numeric>
#include <regex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

thread_local int depth;

// dive throws from the bottom of a recursion, past destructors.
struct Level {
  std::atomic<int> &open;
  explicit Level(std::atomic<int> &o) : open(o) { open++; depth++; }
  ~Level() { open--; depth--; }
};

int dive(int n, std::atomic<int> &open) {
  Level l(open);
  if (n == 0) throw std::runtime_error("bottom at " + std::to_string(depth));
  return dive(n - 1, open) + 1;
}

void check(bool ok, const char *what) {
  if (!ok) {
    std::cerr << "failed: " << what << std::endl;
    std::exit(1);
  }
}

void exceptions() {
  std::atomic<int> open{0}, caught{0};
  std::vector<std::thread> all;
  for (int i = 0; i < 64; i++)
    all.emplace_back([&, i] {
      for (int round = 0; round < 20; round++) {
        try {
          dive(i, open);
        } catch (const std::runtime_error &e) {
          if (e.what() == "bottom at " + std::to_string(i + 1)) caught++;
        }
      }
    });
  for (auto &t : all) t.join();
  check(caught == 64 * 20, "exceptions are caught in the thread that throws");
  check(open == 0, "destructors run while the stack is unwound");
}

void futures() {
  std::vector<std::future<long>> parts;
  for (long i = 0; i < 8; i++)
    parts.push_back(std::async(std::launch::async, [i] {
      std::vector<long> v(100000);
      std::iota(v.begin(), v.end(), i * 100000);
      return std::accumulate(v.begin(), v.end(), 0L);
    }));
  long sum = 0;
  for (auto &p : parts) sum += p.get();
  check(sum == 799999L * 800000 / 2, "futures");
  auto thrown = std::async(std::launch::async, []() -> int { throw std::out_of_range("far"); });
  try {
    thrown.get();
    check(false, "a future keeps its exception");
  } catch (const std::out_of_range &) {
  }
}

void queue() {
  std::mutex m;
  std::condition_variable more;
  std::vector<int> items;
  long got = 0;
  std::thread consumer([&] {
    for (int n = 0; n < 2000;) {
      std::unique_lock<std::mutex> l(m);
      more.wait(l, [&] { return !items.empty(); });
      for (int i : items) got += i;
      n += items.size();
      items.clear();
    }
  });
  for (int i = 0; i < 2000; i++) {
    std::lock_guard<std::mutex> l(m);
    items.push_back(i);
    more.notify_one();
  }
  consumer.join();
  check(got == 1999L * 2000 / 2, "a condition variable");
  std::unique_lock<std::mutex> l(m);
  auto start = std::chrono::steady_clock::now();
  check(!more.wait_for(l, std::chrono::milliseconds(50), [] { return false; }), "a wait times out");
  check(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(50), "a wait is long enough");
}

void files() {
  namespace fs = std::filesystem;
  fs::path dir = fs::temp_directory_path() / "files";
  fs::create_directories(dir / "a" / "b");
  std::ofstream(dir / "a" / "b" / "text") << "line one\nline two\n";
  fs::copy(dir / "a", dir / "copy", fs::copy_options::recursive);
  std::ifstream in(dir / "copy" / "b" / "text");
  std::string line, last;
  while (std::getline(in, line)) last = line;
  check(last == "line two", "a file is copied");
  check(std::regex_match(last, std::regex("line (one|two)")), "regex");
  check(fs::remove_all(dir) == 7, "a tree is removed");
}

}  // namespace

int main() {
  exceptions();
  futures();
  queue();
  files();
  std::cout << "ok with " << (std::thread::hardware_concurrency()) << " CPUs" << std::endl;
}
