package depot;

import java.util.List;
import java.util.Map;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.cloud.client.ServiceInstance;
import org.springframework.cloud.client.discovery.DiscoveryClient;
import org.springframework.cloud.client.loadbalancer.LoadBalanced;
import org.springframework.context.annotation.Bean;
import org.springframework.core.env.Environment;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestClient;

/** An application as others write them: its values come from Spring Cloud Config, who it calls and who calls it from Eureka. */
@SpringBootApplication
@EnableConfigurationProperties(Depot.Shelf.class)
public class Depot {
    public static void main(String[] arguments) {
        SpringApplication.run(Depot.class, arguments);
    }

    /** What is configured; read anew by a refresh. */
    @ConfigurationProperties("shelf")
    public static class Shelf {
        private String label = "none";
        private int rows;
        private List<String> goods = List.of();
        private String pin = "none";

        public String getLabel() { return label; }
        public void setLabel(String label) { this.label = label; }
        public int getRows() { return rows; }
        public void setRows(int rows) { this.rows = rows; }
        public List<String> getGoods() { return goods; }
        public void setGoods(List<String> goods) { this.goods = goods; }
        public String getPin() { return pin; }
        public void setPin(String pin) { this.pin = pin; }
    }

    @Bean
    @LoadBalanced
    RestClient.Builder balanced() {
        return RestClient.builder();
    }

    @RestController
    static class Desk {
        private final Shelf shelf;
        private final DiscoveryClient registry;
        private final Environment environment;
        private final RestClient client;

        Desk(Shelf shelf, DiscoveryClient registry, Environment environment, RestClient.Builder builder) {
            this.shelf = shelf;
            this.registry = registry;
            this.environment = environment;
            this.client = builder.build();
        }

        /** What `http://depot.brick/hello` answers. */
        @GetMapping("/hello")
        String hello() {
            return "depot " + environment.getProperty("local.server.port");
        }

        @GetMapping("/shelf")
        Shelf shelf() {
            return shelf;
        }

        /** The instances of an application, as Eureka's client has them. */
        @GetMapping("/instances/{application}")
        List<Map<String, Object>> instances(@PathVariable String application) {
            return registry.getInstances(application).stream().map(Desk::told).toList();
        }

        private static Map<String, Object> told(ServiceInstance instance) {
            return Map.of("id", instance.getInstanceId(), "uri", instance.getUri().toString(), "metadata", instance.getMetadata());
        }

        /** What an instance of an application answers that the balancer picked. */
        @GetMapping("/ask/{application}")
        String ask(@PathVariable String application) {
            return client.get().uri("http://" + application + "/").retrieve().body(String.class);
        }
    }
}
