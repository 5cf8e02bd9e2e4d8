// C++: exceptions over frames and threads, destructors, futures, atomics, iostreams, thread-local objects.
#include "check.h"
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csetjmp>
#include <exception>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <regex>
#include <shared_mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

static std::atomic<int> destroyed{0};

struct counted {
	~counted() { destroyed++; }
};

static int deep(int n)
{
	counted c;
	if (n == 0)
		throw std::runtime_error("from the bottom");
	return deep(n - 1) + 1;
}

static thread_local struct local {
	int n = 1;
	~local() { destroyed += 100; }
} tl;

struct derived : std::logic_error {
	using logic_error::logic_error;
};

static void basics()
{
	AREA("exceptions");
	try {
		deep(100);
	} catch (const std::exception &e) {
		S(e.what());
	}
	N(destroyed.load());
	try {
		try {
			throw derived("derived");
		} catch (std::runtime_error &) {
			SAY("wrong");
		}
	} catch (std::logic_error &e) {
		S(e.what());
	}
	try {
		try {
			throw 1;
		} catch (...) {
			std::throw_with_nested(std::out_of_range("outer"));
		}
	} catch (std::exception &e) {
		try {
			std::rethrow_if_nested(e);
		} catch (int n) {
			SAY("nested %d in %s", n, e.what());
		}
	}
	try {
		std::vector<int>().at(3);
	} catch (std::out_of_range &) {
		SAY("out of range");
	}
	try {
		std::vector<char> v(size_t(1) << 60);
	} catch (std::bad_alloc &) {
		SAY("bad alloc");
	} catch (std::length_error &) {
		SAY("length");
	}
	int n = 0;
	for (int i = 0; i < 2000; i++)
		try {
			throw i;
		} catch (int v) {
			n += v == i;
		}
	N(n);
}

static void threads()
{
	AREA("threads");
	std::exception_ptr saved;
	std::thread([&] {
		try {
			deep(10);
		} catch (...) {
			saved = std::current_exception();
		}
	}).join();
	try {
		std::rethrow_exception(saved);
	} catch (std::runtime_error &e) {
		S(e.what());
	}
	auto f = std::async(std::launch::async, []() -> int { throw std::domain_error("in a future"); });
	try {
		f.get();
	} catch (std::domain_error &e) {
		S(e.what());
	}
	destroyed = 0;
	std::thread([] { tl.n++; }).join();
	N(destroyed.load());
	N(tl.n);
	std::atomic<long> sum{0};
	std::vector<std::thread> all;
	for (int t = 0; t < 8; t++)
		all.emplace_back([&, t] {
			for (int i = 0; i < 500; i++)
				try {
					if (i % 2)
						throw std::to_string(t);
					sum += 1;
				} catch (std::string &s) {
					sum += std::stoi(s) == t ? 1000 : 0;
				}
		});
	for (auto &t : all)
		t.join();
	N(sum.load());
	std::mutex m;
	std::condition_variable cv;
	bool ready = false;
	std::thread w([&] {
		std::this_thread::sleep_for(std::chrono::milliseconds(20));
		std::lock_guard<std::mutex> l(m);
		ready = true;
		cv.notify_all();
	});
	{
		std::unique_lock<std::mutex> l(m);
		IS(cv.wait_for(l, std::chrono::seconds(5), [&] { return ready; }));
		IS(cv.wait_for(l, std::chrono::milliseconds(20)) == std::cv_status::timeout);
	}
	w.join();
	std::shared_mutex sm;
	int value = 0;
	std::vector<std::thread> rw;
	for (int t = 0; t < 4; t++)
		rw.emplace_back([&, t] {
			for (int i = 0; i < 200; i++)
				if (t % 2) {
					std::unique_lock<std::shared_mutex> l(sm);
					value++;
				} else {
					std::shared_lock<std::shared_mutex> l(sm);
				}
		});
	for (auto &t : rw)
		t.join();
	N(value);
	std::once_flag once;
	int calls = 0;
	try {
		std::call_once(once, [&] { calls++; throw 1; });
	} catch (int) {
	}
	std::call_once(once, [&] { calls++; });
	std::call_once(once, [&] { calls++; });
	N(calls);
	IS(std::thread::hardware_concurrency() >= 1);
	auto a = std::chrono::steady_clock::now();
	std::this_thread::sleep_for(std::chrono::milliseconds(15));
	IS(std::chrono::steady_clock::now() - a >= std::chrono::milliseconds(15));
}

static void library()
{
	AREA("library");
	std::ostringstream o;
	o << 3.14159 << ' ' << std::hex << 255 << ' ' << std::boolalpha << true;
	S(o.str().c_str());
	std::map<std::string, int> m{{"b", 2}, {"a", 1}};
	std::string all;
	for (auto &[k, v] : m)
		all += k + "=" + std::to_string(v) + ";";
	S(all.c_str());
	IS(std::regex_match("kernel-42", std::regex("([a-z]+)-(\\d+)")));
	std::cout << "through cout" << std::endl;
	printf("%s %5.2f %Lg\n", "through printf", 2.5, 1.5L);
	fflush(stdout);
	std::locale::global(std::locale("C"));
	auto p = std::make_shared<counted>();
	std::weak_ptr<counted> w = p;
	p.reset();
	IS(w.expired());
}

struct global {
	~global() { SAY("a global's destructor"); }
} g;

int main()
{
	basics();
	threads();
	library();
}
