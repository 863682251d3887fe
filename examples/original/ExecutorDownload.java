import java.net.URI;
import java.net.http.*;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;

/** The usual way with a pool of threads: java ExecutorDownload.java DIR LIST. Nothing is resumed or verified. */
public class ExecutorDownload {
    public static void main(String[] words) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        ExecutorService pool = Executors.newFixedThreadPool(32);
        List<Future<Path>> files = new ArrayList<>();
        for (String url : Files.readAllLines(Path.of(words[1]))) {
            files.add(pool.submit(() -> client.send(HttpRequest.newBuilder(URI.create(url)).build(),
                HttpResponse.BodyHandlers.ofFile(Path.of(words[0], url.substring(url.lastIndexOf('/') + 1)))).body()));
        }
        for (Future<Path> file : files) file.get();
        pool.shutdown();
    }
}
