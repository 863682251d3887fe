import java.io.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.function.Consumer;
import java.util.regex.Pattern;

/** Downloads files through haul without blocking the caller: java Download.java DIR URL [SHA256] [URL [SHA256]]... */
public class Download {
    static final Pattern FIELD = Pattern.compile("\"(event|url|message|path)\":\"((?:[^\"\\\\]|\\\\.)*)\"");

    /** Lines are {"url": …} with "sha256" if it is known; gives the messages of files that failed, by URL. Cancelling keeps what came. */
    static CompletableFuture<Map<String, String>> download(List<String> lines, String dir, Consumer<Map<String, String>> onEvent) throws IOException {
        Process haul = new ProcessBuilder(System.getenv().getOrDefault("HAUL", "haul"), "--json", "-q", "-i", "-", "-d", dir)
            .redirectError(ProcessBuilder.Redirect.INHERIT).start();
        CompletableFuture<Map<String, String>> result = CompletableFuture.supplyAsync(() -> {
            Map<String, String> failed = new ConcurrentHashMap<>();
            try (var input = haul.outputWriter(); var events = haul.inputReader()) {
                input.append(String.join("\n", lines)).close();
                for (String line; (line = events.readLine()) != null; ) {
                    Map<String, String> event = new HashMap<>();
                    FIELD.matcher(line).results().forEach(field -> event.put(field.group(1), field.group(2)));
                    if ("error".equals(event.get("event"))) failed.put(event.getOrDefault("url", "the run"), event.getOrDefault("message", line));
                    onEvent.accept(event);
                }
                return failed;
            } catch (IOException error) { throw new CompletionException(error); }
        });
        result.whenComplete((done, error) -> { if (haul.isAlive() && error != null) haul.destroy(); });
        return result;
    }

    public static void main(String[] words) throws Exception {
        if (words.length < 2 || !words[1].contains("://")) { System.err.println("usage: java Download.java DIR URL [SHA256] [URL [SHA256]]..."); System.exit(2); }
        List<String> lines = new ArrayList<>();
        for (String word : Arrays.asList(words).subList(1, words.length))
            if (word.contains("://")) lines.add("{\"url\":\"" + word + "\"}");
            else lines.add(lines.remove(lines.size() - 1).replace("}", ",\"sha256\":\"" + word + "\"}"));
        System.exit(download(lines, words[0], event -> System.out.println(event.get("event") + " " + event.get("path"))).get(1, TimeUnit.HOURS).size());
    }
}
