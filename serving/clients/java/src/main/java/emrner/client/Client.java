package emrner.client;

import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Objects;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import tensorflow.serving.Model.ModelSpec;
import tensorflow.serving.Predict.PredictRequest;
import tensorflow.serving.Predict.PredictResponse;
import tensorflow.serving.PredictionServiceGrpc;

/** A client of TensorFlow Serving for bundles, over a connection that it keeps; usable from several threads. */
public final class Client implements AutoCloseable {
  private static final Duration FIRST_PAUSE = Duration.ofMillis(100);
  private static final Duration LONGEST_PAUSE = Duration.ofSeconds(5);

  /** With these codes TensorFlow's operations quote the offending value. */
  private static final Set<Status.Code> MAY_QUOTE =
      EnumSet.of(Status.Code.INVALID_ARGUMENT, Status.Code.OUT_OF_RANGE, Status.Code.INTERNAL, Status.Code.UNKNOWN);

  private final String target;
  private final ClientOptions options;
  private final ManagedChannel channel;
  private final PredictionServiceGrpc.PredictionServiceBlockingStub prediction;

  /** The version to request; null means the newest, until the first answer names one. */
  private final AtomicReference<Long> version = new AtomicReference<>();

  /**
   * Prepares a connection.
   *
   * @param target host:port, or any name that gRPC resolves
   * @throws IOException a file of {@code options.tls()} cannot be read
   */
  public Client(String target, ClientOptions options) throws IOException {
    this.target = target;
    this.options = options;
    if (options.version() != 0) {
      version.set(options.version());
    }
    channel =
        Grpc.newChannelBuilder(target, credentials(options.tls()))
            .maxInboundMessageSize(options.maxMessageBytes())
            .keepAliveTime(options.keepAlive().toNanos(), TimeUnit.NANOSECONDS)
            .keepAliveTimeout(20, TimeUnit.SECONDS)
            // Texts are sent to the server directly, even if the system configures a proxy.
            .proxyDetector(address -> null)
            .defaultLoadBalancingPolicy("round_robin")
            .build();
    prediction = PredictionServiceGrpc.newBlockingStub(channel);
  }

  /**
   * Finds the entities of each text; the options determine the number of requests.
   *
   * @throws ServingException the server refuses a request or is unavailable for longer than {@code retryTimeout}
   * @throws IllegalArgumentException a text is null or contains a lone surrogate; the message names its index
   */
  public List<List<Entity>> annotate(List<String> texts) throws ServingException {
    for (int i = 0; i < texts.size(); i++) {
      if (texts.get(i) == null) {
        throw new IllegalArgumentException("text " + i + ": must not be null");
      }
      if (!Offsets.encodable(texts.get(i))) {
        throw new IllegalArgumentException("text " + i + ": must not contain a lone surrogate");
      }
    }
    List<List<Entity>> found = new ArrayList<>(Collections.nCopies(texts.size(), null));
    for (List<Integer> places : Plan.requests(texts, options.maxRecords())) {
      List<List<Entity>> entities = request(texts, places);
      for (int i = 0; i < places.size(); i++) {
        found.set(places.get(i), entities.get(i));
      }
    }
    return found;
  }

  /** Returns the version to request: that of the options or, if it is pinned, that of the first answer. */
  public OptionalLong version() {
    Long asked = version.get();
    return asked == null ? OptionalLong.empty() : OptionalLong.of(asked);
  }

  @Override
  public void close() {
    channel.shutdownNow();
  }

  /** Returns the entities of the texts with the given indices. */
  private List<List<Entity>> request(List<String> all, List<Integer> places) throws ServingException {
    List<String> texts = places.stream().map(all::get).toList();
    while (true) {
      Long asked = version.get();
      PredictRequest request = Messages.request(texts, options.model(), asked);
      int size = request.getSerializedSize();
      if (size > options.maxMessageBytes()) {
        throw new ServingException(
            target,
            Status.Code.RESOURCE_EXHAUSTED,
            String.format(
                "%d texts, text %d the longest: a request must have at most %d bytes (maxMessageBytes), got %d;"
                    + " it was not sent",
                texts.size(), places.get(texts.size() - 1), options.maxMessageBytes(), size));
      }
      PredictResponse response = send(request, asked);
      if (isValid(response.getModelSpec(), asked)) {
        return Messages.entities(texts, response);
      }
    }
  }

  /**
   * Records the version of an answer. It returns false if a concurrent request was answered earlier, by another
   * version; the answer must then be discarded.
   */
  private boolean isValid(ModelSpec answered, Long asked) throws ServingException {
    long named = answered.getVersion().getValue();
    if (asked != null && answered.hasVersion() && named != asked) {
      throw new ServingException(
          target, Status.Code.UNKNOWN, "requested version " + asked + ", but version " + named + " answered");
    }
    if (asked != null || !options.pinVersion()) {
      return true;
    }
    if (!answered.hasVersion()) {
      throw new ServingException(
          target,
          Status.Code.UNKNOWN,
          "the answer does not say which version it is from; set the version, or set pinVersion to false");
    }
    return version.compareAndSet(null, named) || version.get() == named;
  }

  /**
   * Repeats a request while the server is unavailable or does not have the pinned version: while servers load a new
   * version one after the other, another one may have it.
   */
  private PredictResponse send(PredictRequest request, Long asked) throws ServingException {
    long end = 0;
    long pause = FIRST_PAUSE.toNanos();
    for (int attempt = 1; ; attempt++) {
      try {
        return prediction
            .withDeadlineAfter(options.deadline().toNanos(), TimeUnit.NANOSECONDS)
            .predict(request);
      } catch (StatusRuntimeException error) {
        Status status = error.getStatus();
        // Counted from the first failure, because an attempt may itself take longer than the timeout.
        if (attempt == 1) {
          end = System.nanoTime() + options.retryTimeout().toNanos();
        }
        long left = end - System.nanoTime();
        boolean gone = status.getCode() == Status.Code.NOT_FOUND && asked != null && options.version() == 0;
        if (!gone && status.getCode() != Status.Code.UNAVAILABLE || left <= 0) {
          throw new ServingException(target, status.getCode(), details(status) + (gone ? hint(asked) : ""));
        }
        // Jitter, so that clients that failed at the same time do not retry at the same time.
        sleep(Math.min((long) (pause * ThreadLocalRandom.current().nextDouble(0.5, 1.0)), left));
        pause = Math.min(2 * pause, LONGEST_PAUSE.toNanos());
        // The channel's default back-off waits up to two minutes after a restart of the server.
        channel.resetConnectBackoff();
      }
    }
  }

  private static String hint(long asked) {
    return "; not every server has version "
        + asked
        + " (any more, or yet), which gave the earlier answers: serve it again, or start again with a new client"
        + " (pinVersion)";
  }

  /** Returns the message of a status with its causes, since "io exception" alone may be a wrong certificate. */
  static String details(Status status) {
    if (MAY_QUOTE.contains(status.getCode())) {
      return "the message of the server may quote a text and is not shown: see its log";
    }
    StringBuilder said = new StringBuilder(Objects.requireNonNullElse(status.getDescription(), "no details"));
    for (Throwable cause = status.getCause(); cause != null; cause = cause.getCause()) {
      String message = cause.getMessage();
      if (message != null && said.indexOf(message) < 0) {
        said.append(": ").append(message);
      }
    }
    return said.toString();
  }

  private void sleep(long nanoseconds) throws ServingException {
    try {
      TimeUnit.NANOSECONDS.sleep(nanoseconds);
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
      throw new ServingException(target, Status.Code.CANCELLED, "interrupted while the server was unavailable");
    }
  }

  private static ChannelCredentials credentials(ClientOptions.Tls files) throws IOException {
    if (files == null) {
      return InsecureChannelCredentials.create();
    }
    TlsChannelCredentials.Builder builder = TlsChannelCredentials.newBuilder();
    if (files.ca() != null) {
      builder.trustManager(files.ca());
    }
    if (files.cert() != null) {
      builder.keyManager(files.cert(), files.key());
    }
    return builder.build();
  }
}
