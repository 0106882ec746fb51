package emrner.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import java.io.File;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;

class ClientTest {
  @Test
  void invalidTextsAreNotSent() throws IOException {
    ClientOptions options = ClientOptions.builder().maxMessageBytes(1000).build();
    try (Client client = new Client("localhost:1", options)) {
      ServingException error =
          assertThrows(ServingException.class, () -> client.annotate(List.of("秘".repeat(1000))));
      assertEquals(Status.Code.RESOURCE_EXHAUSTED, error.code());
      assertFalse(error.getMessage().contains("秘"));
      IllegalArgumentException lone =
          assertThrows(IllegalArgumentException.class, () -> client.annotate(List.of("秘", "秘\ud83d")));
      assertEquals("text 1: must not contain a lone surrogate", lone.getMessage());
    }
  }

  @Test
  void messagesHaveCausesAndNoTexts() {
    Status status = Status.UNAVAILABLE.withDescription("io exception");
    IOException cause = new IOException("why", new IOException("why, indeed"));
    assertEquals("io exception: why: why, indeed", Client.details(status.withCause(cause)));
    assertEquals("io exception", Client.details(status.withCause(new IOException("exception"))));
    assertEquals("no details", Client.details(Status.UNAVAILABLE));
    assertFalse(Client.details(Status.INVALID_ARGUMENT.withDescription("秘")).contains("秘"));
  }

  @Test
  void retriesEnd() throws IOException {
    ClientOptions options = ClientOptions.builder().retryTimeout(Duration.ofMillis(300)).build();
    try (Client client = new Client("127.0.0.1:1", options)) {
      long began = System.nanoTime();
      ServingException error = assertThrows(ServingException.class, () -> client.annotate(List.of("a")));
      assertEquals(Status.Code.UNAVAILABLE, error.code());
      assertTrue(error.getMessage().contains("Connection refused"), error.getMessage());
      assertTrue(System.nanoTime() - began >= options.retryTimeout().toNanos());
    }
  }

  @Test
  void invalidOptions() {
    assertThrows(IllegalArgumentException.class, () -> ClientOptions.builder().model("").build());
    assertThrows(IllegalArgumentException.class, () -> ClientOptions.builder().deadline(Duration.ZERO).build());
    assertThrows(
        IllegalArgumentException.class, () -> ClientOptions.builder().keepAlive(Duration.ofSeconds(1)).build());
    assertThrows(IllegalArgumentException.class, () -> new ClientOptions.Tls(null, null, new File("key")));
    ClientOptions absent =
        ClientOptions.builder().tls(new ClientOptions.Tls(new File("absent"), null, null)).build();
    assertThrows(IOException.class, () -> new Client("localhost:1", absent));
  }
}
