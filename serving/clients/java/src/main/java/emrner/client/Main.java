package emrner.client;

import java.io.BufferedInputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;

/**
 * Reads records from standard input and prints the entities that a server finds; the framing is that of
 * export/examples/README.md.
 */
public final class Main {
  private static final String USAGE =
      """
      usage: java emrner.client.Main --server=HOST:PORT [flags] < RECORDS
        --units=code_points|utf16   offsets to print (default: code_points)
        --model=NAME                name under which the bundle is served (default: ner)
        --version=N                 version of the model; 0 is the server's newest (default: 0)
        --pin_version=true|false    without --version, keep requesting the version of the first answer (default: true)
        --deadline=SECONDS          time that one attempt of one request may take (default: 60)
        --retry_timeout=SECONDS     time to repeat a request while the server is unavailable (default: 30)
        --keep_alive=SECONDS        time without data after which the server is pinged (default: 310)
        --max_records=N             maximum number of texts in a request, within max_batch_size (default: 32)
        --max_message_bytes=N       maximum size of a message (default: 67108864)
        --tls                       use TLS; implied by --ca, --cert and --key
        --ca=FILE                   PEM file with the authority of the server's certificate
        --cert=FILE --key=FILE      PEM files with the client's certificate and its private key
      """;

  /** More than eleven days. */
  private static final int MAX_SECONDS = 1_000_000;

  private Main() {}

  public static void main(String[] arguments) {
    Map<String, String> flags = new LinkedHashMap<>();
    for (String argument : arguments) {
      String[] parts = argument.split("=", 2);
      flags.put(parts[0], parts.length == 2 ? parts[1] : "");
    }
    ClientOptions options = null;
    String server = flags.remove("--server");
    String units = flags.getOrDefault("--units", "code_points");
    flags.remove("--units");
    try {
      options = options(flags);
    } catch (IllegalArgumentException error) {
      System.err.println("client: " + error.getMessage());
    }
    if (options == null || server == null || !List.of("code_points", "utf16").contains(units)) {
      System.err.print(USAGE);
      System.exit(2);
    }
    try {
      annotate(server, options, units.equals("utf16"));
    } catch (IOException | ServingException | IllegalArgumentException | IllegalStateException error) {
      System.err.println("client: " + error.getMessage());
      System.exit(1);
    }
  }

  private static ClientOptions options(Map<String, String> flags) {
    ClientOptions.Builder options = ClientOptions.builder();
    Map<String, File> files = new LinkedHashMap<>();
    boolean secured = false;
    for (Map.Entry<String, String> flag : flags.entrySet()) {
      String value = flag.getValue();
      switch (flag.getKey()) {
        case "--model" -> options.model(value);
        case "--version" -> options.version(number(flag, Long::parseLong));
        case "--pin_version" -> options.pinVersion(truth(flag));
        case "--deadline" -> options.deadline(seconds(flag));
        case "--retry_timeout" -> options.retryTimeout(seconds(flag));
        case "--patience" -> {
          System.err.println("client: --patience is deprecated: use --retry_timeout");
          options.retryTimeout(seconds(flag));
        }
        case "--keep_alive" -> options.keepAlive(seconds(flag));
        case "--max_records" -> options.maxRecords(number(flag, Integer::parseInt));
        case "--max_message_bytes" -> options.maxMessageBytes(number(flag, Integer::parseInt));
        case "--tls" -> secured = true;
        case "--ca", "--cert", "--key" -> files.put(flag.getKey(), new File(value));
        default -> throw new IllegalArgumentException("unknown flag: " + flag.getKey());
      }
    }
    if (secured || !files.isEmpty()) {
      options.tls(new ClientOptions.Tls(files.get("--ca"), files.get("--cert"), files.get("--key")));
    }
    return options.build();
  }

  private static <T> T number(Map.Entry<String, String> flag, Function<String, T> read) {
    try {
      return read.apply(flag.getValue());
    } catch (NumberFormatException error) {
      throw new IllegalArgumentException(flag.getKey() + " must be a number in range, got " + flag.getValue());
    }
  }

  private static boolean truth(Map.Entry<String, String> flag) {
    if (!List.of("true", "false").contains(flag.getValue())) {
      throw new IllegalArgumentException(flag.getKey() + " must be true or false, got " + flag.getValue());
    }
    return flag.getValue().equals("true");
  }

  private static Duration seconds(Map.Entry<String, String> flag) {
    double seconds = number(flag, Double::parseDouble);
    // NaN fails both comparisons.
    if (!(seconds >= 0 && seconds <= MAX_SECONDS)) {
      throw new IllegalArgumentException(
          flag.getKey() + " must be at least 0 and at most " + MAX_SECONDS + " seconds, got " + seconds);
    }
    return Duration.ofNanos((long) (1e9 * seconds));
  }

  private static void annotate(String server, ClientOptions options, boolean utf16)
      throws IOException, ServingException {
    List<String> texts = records(new BufferedInputStream(System.in));
    StringBuilder lines = new StringBuilder();
    try (Client client = new Client(server, options)) {
      for (List<Entity> entities : client.annotate(texts)) {
        lines.append(entities.size()).append('\n');
        for (Entity entity : entities) {
          int start = utf16 ? entity.utf16Start() : entity.start();
          int end = utf16 ? entity.utf16End() : entity.end();
          lines.append(String.format(Locale.ROOT, "%d\t%d\t%s\t%.6f\n", start, end, entity.label(), entity.score()));
        }
      }
    }
    System.out.write(lines.toString().getBytes(StandardCharsets.UTF_8));
    // A PrintStream throws nothing when the disk is full.
    if (System.out.checkError()) {
      throw new IOException("standard output: cannot be written");
    }
  }

  private static List<String> records(InputStream in) throws IOException {
    List<String> texts = new ArrayList<>();
    for (int read = in.read(); read >= 0; read = in.read()) {
      String where = "standard input: record " + texts.size() + ": must ";
      int size = 0;
      int digits = 0;
      for (; read >= '0' && read <= '9' && digits < 9; digits++) {
        size = 10 * size + (read - '0');
        read = in.read();
      }
      if (digits == 0 || read != '\n') {
        throw new IOException(where + "begin with a line of at most 9 digits, its number of bytes");
      }
      byte[] bytes = in.readNBytes(size);
      if (bytes.length < size) {
        throw new IOException(where + "have " + size + " bytes, got " + bytes.length);
      }
      try {
        // This decoder, unlike String's constructor, refuses malformed bytes.
        texts.add(StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString());
      } catch (CharacterCodingException error) {
        throw new IOException(where + "be UTF-8");
      }
    }
    return texts;
  }
}
