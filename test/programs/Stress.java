import com.sun.net.httpserver.HttpServer;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;

// Garbage collection under pressure, virtual memory, 200 threads at once, mapped
// files, null pointers that are signals; then an HTTP server until SIGTERM.
public class Stress {
  static volatile Object kept;

  public static void main(String[] args) throws Exception {
    collect();
    threads();
    mapped();
    nulls();
    overflow();
    serve();
  }

  static void check(boolean ok, String what) {
    if (!ok) throw new IllegalStateException(what);
  }

  // collect makes much more garbage than there is heap, with some that lives on.
  static void collect() {
    Random r = new Random(1);
    List<byte[]> live = new ArrayList<>();
    long made = 0;
    while (made < 400L << 20) {
      byte[] b = new byte[1 + r.nextInt(64 << 10)];
      b[b.length - 1] = (byte) b.length;
      made += b.length;
      if (live.size() < 400) live.add(b);
      else live.set(r.nextInt(live.size()), b);
      kept = b;
    }
    for (byte[] b : live) check(b[b.length - 1] == (byte) b.length, "an object has changed");
    System.gc();
    try {
      List<long[]> all = new ArrayList<>();
      while (true) all.add(new long[1 << 20]);
    } catch (OutOfMemoryError e) {
      System.out.println("out of memory was caught");
    }
  }

  static void threads() throws Exception {
    int n = 200;
    CountDownLatch up = new CountDownLatch(n), go = new CountDownLatch(1), down = new CountDownLatch(n);
    AtomicLong sum = new AtomicLong();
    Object lock = new Object();
    long[] shared = new long[1];
    for (int i = 0; i < n; i++) {
      int id = i;
      new Thread(() -> {
        up.countDown();
        try {
          go.await();
          for (int k = 0; k < 100; k++) {
            synchronized (lock) {
              shared[0] += id;
            }
            sum.addAndGet(new byte[1000].length);
            if (k % 25 == 0) Thread.sleep(1);
          }
        } catch (InterruptedException e) {
          return;
        }
        down.countDown();
      }).start();
    }
    up.await();
    go.countDown();
    down.await();
    check(sum.get() == n * 100 * 1000L && shared[0] == 100L * n * (n - 1) / 2, "threads");
    System.out.println("200 threads");
  }

  static void mapped() throws Exception {
    Path file = Files.createTempFile("mapped", "");
    try (FileChannel c = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      var m = c.map(FileChannel.MapMode.READ_WRITE, 0, 1 << 20);
      for (int i = 0; i < 1 << 20; i += 4) m.putInt(i, i);
      m.force();
      ByteBuffer b = ByteBuffer.allocate(4);
      c.read(b, 777 * 4);
      check(b.getInt(0) == 777 * 4, "a mapping is the file");
    }
    Files.delete(file);
    System.out.println("mapped");
  }

  static int length(String s) {
    return s.length();
  }

  // nulls runs long enough to be compiled: the check is then a fault.
  static void nulls() {
    int caught = 0, sum = 0;
    for (int i = 0; i < 60000; i++) sum += length("x");
    for (int i = 0; i < 2000; i++) {
      try {
        length(null);
      } catch (NullPointerException e) {
        caught++;
      }
    }
    check(caught == 2000 && sum == 60000, "null pointers");
    System.out.println("nulls");
  }

  static int down(int n) {
    return n == 0 ? 0 : 1 + down(n + 1);
  }

  static void overflow() throws Exception {
    Thread t = new Thread(() -> {
      try {
        down(1);
      } catch (StackOverflowError e) {
        System.out.println("stack overflow was caught");
      }
    });
    t.start();
    t.join();
  }

  static void serve() throws Exception {
    HttpServer server = HttpServer.create(new InetSocketAddress(8080), 100);
    server.setExecutor(Executors.newFixedThreadPool(16));
    server.createContext("/", exchange -> {
      byte[] body = exchange.getRequestBody().readAllBytes();
      byte[] answer = ("hello " + exchange.getRequestURI() + " " + body.length).getBytes();
      exchange.sendResponseHeaders(200, answer.length);
      try (OutputStream out = exchange.getResponseBody()) {
        out.write(answer);
      }
    });
    server.start();
    HttpResponse<String> own = HttpClient.newHttpClient().send(
        HttpRequest.newBuilder(URI.create("http://127.0.0.1:8080/self")).POST(HttpRequest.BodyPublishers.ofString("abc")).build(),
        HttpResponse.BodyHandlers.ofString());
    check(own.body().equals("hello /self 3"), "its own client got " + own.body());
    Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("shut down")));
    System.out.println("serving");
  }
}
